/** A reason for which tests may be skipped, and the machines on which it may be given. */
export interface AllowedSkip {
  /** How the reason that the test gives begins. */
  reason: string;
  here: boolean;
}

const isRoot = process.getuid?.() === 0;

/** Every reason that counts; a test that is skipped for another one, or elsewhere, fails the run. */
export const allowedSkips: AllowedSkip[] = [
  { reason: "only root can", here: !isRoot },
  { reason: "this is no root", here: !isRoot },
  { reason: "the other tests run as one", here: !isRoot },
  { reason: "no cgroup for processes is ours to write", here: !isRoot },
  { reason: "only x86-64 has", here: process.arch !== "x64" },
];
