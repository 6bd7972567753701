/** Secrets that nobody has told us of, by their shape. */
export { createSecretScanner, type SecretScannerOptions } from "./scanner.ts";
