import { createMasker, type Masker, type SecretScanner } from "@guildhall/core";
import { createSecretScanner } from "@guildhall/core/secret-scan";

/** Masks what a daemon stores, shows and sends: secrets that it knows, and those that it recognises by their shape. */
export interface Screen {
  /** For what one session or tool brings forth; `secrets` are masked by their value. */
  masker(secrets: Iterable<string>): Masker;
}

/** `unknown`: whether secrets are to be recognised at all (the setting `secrets.mask_unknown`). */
export function createScreen(unknown: () => boolean): Screen {
  let made: SecretScanner | undefined;
  const scanner = (): SecretScanner | undefined => (unknown() ? (made ??= createSecretScanner({ rules: "shaped" })) : undefined);
  return {
    masker(secrets) {
      const own = scanner();
      return createMasker(secrets, own === undefined ? {} : { scanner: own });
    },
  };
}

/** Said to whoever wrote a secret into a message. */
export const MASKED_WORDS =
  "what looks like a secret in the message was masked before anything was stored — keep it with guild secret set, and let agents use it with guild secret grant";
