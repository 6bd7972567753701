import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

import type { DockerEngine } from "./engine.ts";

/** How long a container may take to end by itself, and to be gone after it was killed. */
const STOP_PATIENCE_MS = 3000;
const KILL_PATIENCE_MS = 60_000;

/** One container, from its creation to its removal. */
export class Container {
  readonly id: string;
  /** Of its init, as this machine counts; 0: not told. */
  readonly pid: number;
  /** Settles, with what it ended with, when it has been removed. */
  readonly ended: Promise<string>;
  readonly #engine: DockerEngine;

  private constructor(engine: DockerEngine, id: string, pid: number, ended: Promise<string>) {
    this.#engine = engine;
    this.id = id;
    this.pid = pid;
    this.ended = ended;
  }

  static async start(engine: DockerEngine, name: string, request: Record<string, unknown>): Promise<Container> {
    const made = (await engine.post(`/containers/create?name=${encodeURIComponent(name)}`, { body: request })) as { Id: string };
    const waiting = engine.post(`/containers/${made.Id}/wait?condition=removed`, { patient: true });
    const ended = waiting.then(
      (answer) => `its container ended with code ${(answer as { StatusCode?: number } | undefined)?.StatusCode ?? "?"}`,
    );
    ended.catch(() => {}); // whoever waits for it is told
    try {
      await engine.post(`/containers/${made.Id}/start`);
      const { State: state } = (await engine.get(`/containers/${made.Id}/json`)) as { State: { Pid?: number } };
      return new Container(engine, made.Id, state.Pid ?? 0, ended);
    } catch (error) {
      await engine.delete(`/containers/${made.Id}?force=1&v=1`).catch(() => undefined); // what it says of the start is what matters
      throw error;
    }
  }

  /** Resolves when nothing is left of it; ends it by force when it does not end by itself. */
  readonly stop = async (): Promise<void> => {
    if (await this.#endedWithin(STOP_PATIENCE_MS)) return;
    await this.#engine.delete(`/containers/${this.id}?force=1&v=1`).catch(() => undefined); // being removed already
    if (await this.#endedWithin(KILL_PATIENCE_MS)) return;
    throw new GuildError("internal", "the Docker engine does not remove a sandbox's container", {
      subject: this.id,
      remedy: `docker rm -f ${this.id}`,
    });
  };

  async #endedWithin(ms: number): Promise<boolean> {
    const over = new AbortController();
    const late = sleep(ms, false, { signal: over.signal }).catch(() => false); // called off
    // An engine that has gone away keeps no container from us that it still has: a restarted one removes them.
    const ended = this.ended.then(
      () => true,
      () => true,
    );
    const done = await Promise.race([ended, late]);
    over.abort();
    return done;
  }
}
