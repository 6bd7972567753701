import assert from "node:assert/strict";
import { lstatSync } from "node:fs";
import { describe, it } from "node:test";

import { GuildError } from "../errors.ts";
import type { EnvironmentSource, ResolveRequest } from "../ports/environment.ts";

/** Projects for one source, each with a request for it. */
export interface EnvironmentSourceFixture {
  source: EnvironmentSource;
  /** A project that asks for this source; undefined: none can, the source is for those that ask for nothing. */
  claimed?: Omit<ResolveRequest, "signal" | "progress">;
  /** A project that does not ask for it. */
  other: Omit<ResolveRequest, "signal" | "progress">;
}

/** What every source of environments promises. */
export function environmentSourceContract(name: string, open: () => Promise<EnvironmentSourceFixture>): void {
  const request = (of: Omit<ResolveRequest, "signal" | "progress">, signal = new AbortController().signal): ResolveRequest => ({
    ...of,
    signal,
    progress: () => undefined,
  });

  describe(`${name} as a source of environments`, () => {
    it("is asked for by some projects and not by others, which it says in one line", async () => {
      const { source, claimed, other } = await open();
      assert.equal(await source.claims(request(other)), undefined);
      if (claimed === undefined) return;
      const claim = await source.claims(request(claimed));
      assert.ok(claim !== undefined && claim !== "" && !claim.includes("\n"), claim);
    });

    it("gives the same environment for the same project, of its own kind, with absolute places that are there", async () => {
      const { source, claimed, other } = await open();
      const first = await source.resolve(request(claimed ?? other));
      const second = await source.resolve(request(claimed ?? other));
      assert.deepEqual(first, second);
      assert.equal(first.kind, source.kind);
      for (const place of first.path) assert.ok(place.startsWith("/"), place);
      for (const mount of first.mounts) {
        assert.ok(lstatSync(mount.source).isDirectory(), mount.source);
        assert.ok(mount.at.startsWith("/"), mount.at);
      }
      for (const variable of Object.keys(first.variables)) assert.match(variable, /^[A-Za-z_][A-Za-z0-9_]*$/);
      assert.ok(!("PATH" in first.variables));
      for (const difference of first.differences) assert.ok(!difference.includes("\n"), difference);
    });

    it("fails in one line, or not at all, for a project that it cannot serve", async () => {
      const { source, claimed } = await open();
      if (claimed === undefined) return;
      const untrusted = await source.resolve(request({ ...claimed, trusted: false })).catch((error: unknown) => error);
      if (!(untrusted instanceof Error)) return;
      assert.ok(GuildError.is(untrusted), String(untrusted));
      assert.ok(!untrusted.line.includes("\n"), untrusted.line);
    });
  });
}
