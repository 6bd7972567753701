import type { Duplex } from "node:stream";

import { GuildError } from "@guildhall/core";

import { initOptions } from "./init-listener.ts";
import { answered, CONNECTION_FD, endInit, type InitProcess, killWhole, spawnInit } from "./init-process.ts";

/** An init that runs in a sandbox without a workspace and waits for one, and the process outside that will place it. */
export interface PreparedInit {
  /** It has not ended meanwhile. */
  readonly usable: boolean;
  /** Places the workspace (options of `place.c`), then starts the init with its options. Throws `failed_precondition`; `discard` it then. */
  begin(places: readonly string[], options: readonly string[]): Promise<InitProcess>;
  /** Ends both. Idempotent. */
  discard(): Promise<void>;
}

/**
 * Starts `launch` with a placer (`extra`: descriptors behind the connection; the placer's comes after them) and waits until the init says that
 * all but its workspace is there. Nothing of it keeps this process alive before `begin`. Throws `failed_precondition`.
 */
export async function prepareInit(
  command: string,
  options: { extra: number[]; ownNamespace: boolean; args: string[] },
): Promise<PreparedInit> {
  const at = CONNECTION_FD + 1 + options.extra.length;
  const own = options.ownNamespace ? ["--own-namespace"] : [];
  const spawned = await spawnInit(command, ["--placer", String(at), ...own, ...options.args], [...options.extra, "pipe"]);
  const { child, stream, ended, complaint } = spawned;
  const placer = child.stdio[at] as unknown as Duplex;
  placer.on("error", () => undefined); // it has gone: `begin` is told by its end
  let usable = true;
  const over = (): void => {
    usable = false;
  };
  stream.once("end", over).once("close", over).once("error", over);
  const discard = async (): Promise<void> => {
    usable = false;
    placer.destroy();
    stream.destroy();
    killWhole(child);
    await endInit(child, ended);
  };
  const handles = [child, stream, placer, child.stderr] as unknown as Array<{ ref(): void; unref(): void }>;
  try {
    await firstByte(stream, ended);
  } catch (error) {
    await discard();
    throw new GuildError("failed_precondition", `the sandbox could not be prepared: ${complaint() || (error as Error).message}`);
  }
  for (const handle of handles) handle.unref();
  return {
    get usable() {
      return usable;
    },
    async begin(places, given) {
      for (const handle of handles) handle.ref();
      placer.write(initOptions(places));
      const said = await everything(placer);
      if (said !== "+") throw new GuildError("failed_precondition", `the sandbox did not start: ${said.trim() || "its placer has gone"}`);
      stream.write(initOptions(given));
      const process = answered(spawned);
      stream.resume();
      return await process;
    },
    discard,
  };
}

/** The one byte that the init says before it is told anything. */
async function firstByte(stream: Duplex, ended: Promise<string>): Promise<void> {
  const said = new Promise<void>((resolve) => {
    const look = (): void => {
      if (stream.read(1) === null) return;
      stream.off("readable", look);
      resolve();
    };
    stream.on("readable", look);
  });
  const failed = ended.then((how) => {
    throw new GuildError("failed_precondition", how);
  });
  await Promise.race([said, failed]);
}

/** What is said until the end. */
async function everything(stream: Duplex): Promise<string> {
  let text = "";
  try {
    for await (const bytes of stream) text += String(bytes);
  } catch {
    return text; // closed on us, which is an end too
  }
  return text;
}
