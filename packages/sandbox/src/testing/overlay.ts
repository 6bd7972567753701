import { execFile } from "node:child_process";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A directory on a file system that has no id-mapped mounts, as inside a container. For tests as root. */
export async function mountOverlay(): Promise<{ directory: string; close(): Promise<void> }> {
  const base = await realpath(await mkdtemp(join(tmpdir(), "guildhall-overlay-")));
  const [lower, upper, work, directory] = [join(base, "lower"), join(base, "upper"), join(base, "work"), join(base, "mounted")];
  for (const path of [lower, upper, work, directory]) await mkdir(path);
  await run("mount", ["-t", "overlay", "-o", `lowerdir=${lower},upperdir=${upper},workdir=${work}`, "guildhall-test", directory]);
  return {
    directory,
    close: async () => {
      await run("umount", [directory]);
      await rm(base, { recursive: true, force: true });
    },
  };
}
