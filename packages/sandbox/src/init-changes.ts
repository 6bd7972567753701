import { bytesToPath, pathToBytes, type ChangeTracker } from "@guildhall/core";

import type { InitConnection } from "./wire/connection.ts";
import { FrameBuilder, ToInit } from "./wire/frame.ts";
import { initError } from "./wire/init-error.ts";

/** `ChangeTracker` by the init's inotify. Writing through a shared memory mapping shows only when the file is opened or closed. */
export class InitChanges implements ChangeTracker {
  readonly #connection: InitConnection;

  constructor(connection: InitConnection) {
    this.#connection = connection;
  }

  async track(tracked: string[]): Promise<void> {
    const id = this.#connection.newId();
    const paths = tracked.map((path) => pathToBytes(path === "" ? "." : path));
    const { errno } = await this.#connection.request(id, new FrameBuilder(ToInit.track, id, 4096).strings(paths));
    if (errno !== 0) throw initError(errno, "cannot watch", tracked[0] ?? "");
  }

  async changes(): Promise<{ overflow: boolean; paths: string[] }> {
    const id = this.#connection.newId();
    const { errno, payload } = await this.#connection.request(id, new FrameBuilder(ToInit.changes, id, 0));
    if (errno !== 0) throw initError(errno, "cannot tell changes of", "the workspace");
    const overflow = payload.u8() === 1;
    const paths: string[] = [];
    while (!payload.done) paths.push(bytesToPath(payload.string()));
    return { overflow, paths };
  }
}
