import { GuildError } from "@guildhall/core";

import type { MachineFinding } from "../daemon/doctor.ts";

/** Which index sessions' memories stand on. */
export async function checkKnowledge(): Promise<MachineFinding[]> {
  const { FAISS_ADDON, loadFaiss } = await import("@guildhall/knowledge");
  const id = "knowledge/session-index";
  try {
    if (loadFaiss(FAISS_ADDON) !== undefined) return [{ id, level: "ok", text: "session memory: FAISS", remedy: "" }];
    const remedy = "install libfaiss-dev and run the set-up again for a faster one";
    return [{ id, level: "warning", text: "session memory: exact scan, FAISS is not built", remedy }];
  } catch (error) {
    const { message, remedy = "" } = GuildError.from(error);
    return [{ id, level: "warning", text: `session memory: exact scan, ${message}`, remedy }];
  }
}
