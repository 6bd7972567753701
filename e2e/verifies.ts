import type { RequirementId } from "./requirements.ts";

/**
 * Says which rows of the mission a test shows to work: the first statement of the test. `npm run check` reads the ids from the source
 * (so they are written out, as string literals) and fails when a row said to work has no such test.
 */
export function verifies(..._ids: [RequirementId, ...RequirementId[]]): void {
  // Nothing to do at run time: the compiler knows the ids, the gate reads them.
}
