import { readdir, readFile } from "node:fs/promises";

/** Whether a process of this machine runs with `mark` as its last argument: a sandbox's processes are the host's too. */
export async function running(mark: string): Promise<boolean> {
  return (await marked(mark)).length > 0;
}

export async function killMarked(mark: string): Promise<void> {
  for (const pid of await marked(mark)) process.kill(pid, "SIGKILL");
}

async function marked(mark: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""); // ended meanwhile
    if (command.split("\0").at(-2) === mark) found.push(Number(pid));
  }
  return found;
}
