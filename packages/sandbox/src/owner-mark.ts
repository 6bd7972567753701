import { readFileSync, readlinkSync } from "node:fs";

/** A process that nobody else is ever taken for: its namespace, number and time of start. */
export function ownerMark(pid = process.pid): string {
  return `${readlinkSync("/proc/self/ns/pid")}/${pid}/${startOf(pid)}`;
}

/** Whether the process of a mark still runs; undefined: it is of another namespace, of whose processes nothing can be said here. */
export function isAlive(mark: string): boolean | undefined {
  const [space, pid, start] = mark.split("/");
  if (space !== readlinkSync("/proc/self/ns/pid")) return undefined;
  return start === startOf(Number(pid));
}

/** Ticks after the machine's start at which a process began; undefined: there is none, or it waits for nothing but to be buried. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name before it is in brackets and may hold anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined; // ended
  }
}
