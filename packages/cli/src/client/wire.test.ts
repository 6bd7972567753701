import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { GuildError } from "@guildhall/core";
import { ErrorDetailSchema, SessionService, SystemService } from "@guildhall/protocol";

import { openWire } from "./wire.ts";

interface Services {
  system?: Partial<ServiceImpl<typeof SystemService>>;
  session?: Partial<ServiceImpl<typeof SessionService>>;
}

/** The reference implementation of the protocol behind a socket, and a wire to it. */
async function connected(test: TestContext, services: Services) {
  const directory = mkdtempSync(join(tmpdir(), "guild-wire-"));
  const socket = join(directory, "socket");
  const adapter = connectNodeAdapter({
    routes: (router) => router.service(SystemService, services.system ?? {}).service(SessionService, services.session ?? {}),
  });
  const server = http.createServer((request, response) => adapter(request, response));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const wire = openWire(socket);
  test.after(() => {
    wire.close();
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  });
  return { wire, server };
}

const refusal = () => {
  const value = { code: "failed_precondition", subject: "model", remedy: "name one" };
  return new ConnectError("no model", Code.FailedPrecondition, undefined, [{ desc: ErrorDetailSchema, value }]);
};

function isRefusal(error: unknown): boolean {
  return (
    GuildError.is(error, "failed_precondition") && error.message === "no model" && error.subject === "model" && error.remedy === "name one"
  );
}

describe("the wire", () => {
  it("calls, and gets the daemon's errors as they were", async (test) => {
    const { wire } = await connected(test, {
      system: {
        getInfo: (request) => ({ version: `${request.clientVersion}!`, protocolMax: request.protocol }),
        diagnose: () => {
          throw refusal();
        },
      },
    });
    const system = wire.client(SystemService);
    const info = await system.getInfo({ clientVersion: "1", protocol: 3 });
    assert.deepEqual([info.version, info.protocolMax], ["1!", 3]);
    await assert.rejects(system.diagnose({}), isRefusal);
    await assert.rejects(system.getSettings({}), (error) => GuildError.is(error, "unsupported"));
  });

  it("reads streams message by message, large ones too, and the error that ends one", async (test) => {
    const { wire } = await connected(test, {
      session: {
        async *exportSession({ sessionId }) {
          for (let size = 1; size <= 1_000_000; size *= 10) yield { chunk: new Uint8Array(size).fill(size % 251) };
          if (sessionId === "broken") throw refusal();
        },
      },
    });
    const sessions = wire.client(SessionService);
    const sizes: number[] = [];
    for await (const { chunk } of sessions.exportSession({ sessionId: "whole" })) {
      assert.ok(chunk.every((byte) => byte === chunk.length % 251));
      sizes.push(chunk.length);
    }
    assert.deepEqual(sizes, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]);
    await assert.rejects(Array.fromAsync(sessions.exportSession({ sessionId: "broken" })), isRefusal);
  });

  it("sends streams, and tells our own failure rather than the broken connection that follows from it", async (test) => {
    const { wire } = await connected(test, {
      system: {
        async importDatabase(requests) {
          let events = 0n;
          for await (const { chunk } of requests) events += BigInt(chunk.length);
          return { events };
        },
      },
    });
    const system = wire.client(SystemService);
    async function* chunks(fail: boolean) {
      for (let index = 0; index < 20; index++) yield { chunk: new Uint8Array(100_000) };
      if (fail) throw new GuildError("not_found", "the file went away");
    }
    assert.equal((await system.importDatabase(chunks(false))).events, 2_000_000n);
    await assert.rejects(system.importDatabase(chunks(true)), (error) => GuildError.is(error, "not_found"));
  });

  it("says when the daemon is not there, or goes away in the middle", async (test) => {
    const { wire, server } = await connected(test, {
      session: {
        async *watchSession() {
          yield {};
          await new Promise(() => undefined);
        },
      },
    });
    const stream = wire.client(SessionService).watchSession({})[Symbol.asyncIterator]();
    assert.equal((await stream.next()).done, false);
    server.closeAllConnections();
    await assert.rejects(stream.next(), (error) => GuildError.is(error, "unavailable"));
    await assert.rejects(openWire("/nonexistent/socket").client(SystemService).getInfo({}), (error) => {
      return GuildError.is(error, "unavailable") && (error.cause as NodeJS.ErrnoException).code === "ENOENT";
    });
  });

  it("does not load undici, nor Connect's own transport", async () => {
    const loadedBy = (module: string) =>
      execFileSync(
        process.execPath,
        [
          "--input-type=module",
          "-e",
          `await import(${JSON.stringify(module)}); console.log(process.moduleLoadList.some((name) => /undici|http2/.test(name)))`,
        ],
        { encoding: "utf8" },
      ).trim();
    assert.equal(loadedBy("node:http"), "true", "the list tells");
    assert.equal(loadedBy(new URL("./connect.ts", import.meta.url).href), "false");
  });
});
