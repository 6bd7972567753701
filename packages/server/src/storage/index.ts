/** Storage: the event log in PostgreSQL, blobs in files, and the PostgreSQL server that Guildhall runs by itself. */
export { STORAGE_FAULT_POINTS, type StorageFaultPoint } from "./fault-points.ts";
export type { ImportSummary } from "./import-database.ts";
export { openStorage, type Storage, type StorageDescription, type StorageOptions } from "./open-storage.ts";
export { storagePlace } from "./storage-place.ts";
