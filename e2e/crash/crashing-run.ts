import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { inConversation, startFakeModelServer, type FakeModelServer } from "@guildhall/core/testing";

import { Home, jsonLines, type Finished, type StartOptions, type Started } from "../cli/guild.ts";
import { GOAL, replies } from "./twenty-steps.ts";
import { assertRequestsValid, assertSessionWhole, type SessionEvent } from "./whole-session.ts";

/** A home with a model server beside it, in which runs of twenty steps are made to crash. */
export class CrashBench {
  readonly home = new Home();
  readonly #server: FakeModelServer;

  private constructor(server: FakeModelServer) {
    this.#server = server;
  }

  static async open(): Promise<CrashBench> {
    return new CrashBench(await startFakeModelServer({ reply: inConversation(replies) }));
  }

  /** Begins a run of twenty steps in a fresh workspace. */
  start(options: StartOptions = {}): { workspace: string; run: Started } {
    const workspace = this.home.sample();
    const model = ["--model", "openai-compatible/fake", "--base-url", this.#server.baseUrl];
    return { workspace, run: this.home.start(["run", GOAL, "--workspace", workspace, ...model, "--json"], options) };
  }

  /** The model answers nothing beyond this step until what is returned has been called. */
  holdAfter(step: number): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const script = inConversation(replies);
    this.#server.answer(async (request) => {
      if (request.turns >= step) await promise;
      return script(request);
    });
    return resolve;
  }

  /** Process id of the database that belongs to this home. */
  databasePid(): number {
    return Number(readFileSync(join(this.home.directory, "guild/data/postgres/postmaster.pid"), "utf8").split("\n")[0]);
  }

  /** Process id of the daemon, which is started when there is none. */
  async daemonPid(): Promise<number> {
    const up = await this.home.guild(["up", "--json"]);
    assert.equal(up.code, 0, up.stderr);
    return Number(jsonLines(up.stdout)[0]?.["pid"]);
  }

  /**
   * Resumes what a crash left, if it did leave something undone, and checks that everything is as it was told, and done once. `crashed` is what the
   * client of the interrupted run printed.
   */
  async resumeAndCheck(workspace: string, crashed: Finished, what: string): Promise<void> {
    const told = jsonLines(crashed.stdout);
    const session = told[0]?.["type"] === "session" ? String(told[0]["id"]) : await this.#onlySessionOf(workspace);
    if (session === undefined) return;
    const resumed = crashed.code === 0 ? crashed : await this.home.guild(["session", "resume", session, "--json"]);
    assert.equal(resumed.code, 0, `${what}: resume: ${resumed.stderr}${resumed.stdout.slice(-500)}`);
    const listed = await this.home.guild(["session", "events", session, "--json"]);
    assert.equal(listed.code, 0, `${what}: ${listed.stderr}`);
    const events = jsonLines(listed.stdout) as unknown as SessionEvent[];
    const acknowledged = [...told, ...jsonLines(resumed.stdout)].filter(({ type }) => type === "event") as unknown as SessionEvent[];
    assertSessionWhole(what, events, acknowledged, readEffects(workspace));
    assertRequestsValid(
      what,
      this.#server.requests.splice(0).map(({ body }) => body),
    );
  }

  async close(): Promise<void> {
    await this.home.remove();
    await this.#server.close();
  }

  /** A run that died before it could say its id may have left one session, or none. */
  async #onlySessionOf(workspace: string): Promise<string | undefined> {
    const listed = await this.home.guild(["session", "list", "--workspace", workspace, "--json"]);
    assert.equal(listed.code, 0, listed.stderr);
    const sessions = jsonLines(listed.stdout);
    assert.ok(sessions.length <= 1, `${sessions.length} sessions of one run`);
    return sessions[0] === undefined ? undefined : String(sessions[0]["id"]);
  }
}

function readEffects(workspace: string): string {
  try {
    return readFileSync(join(workspace, "effects.log"), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}
