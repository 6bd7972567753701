/** A test that may be skipped where its platform cannot run it. */
export interface AllowedSkip {
  /** Path from the root. */
  file: string;
  /** Part of the test's name. */
  test: string;
  reason: string;
}

/** Every test that may be skipped, and why; any other skipped test fails the gate. */
export const allowedSkips: AllowedSkip[] = [];
