import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import type { SandboxService } from "@guildhall/core";

import { DockerEngine } from "./engine.ts";
import { hostsOf, Services } from "./services.ts";
import { SandboxVolumes } from "./volumes.ts";

/** States that a container goes through, one a look; the last stays. */
type States = ReadonlyArray<{ Running: boolean; ExitCode?: number; Health?: { Status: string } }>;

interface Call {
  what: string;
  body: unknown;
}

function bodyOf<T>(call: Call | undefined): T {
  assert.ok(call !== undefined);
  return call.body as T;
}

/**
 * An engine that answers as Docker's does (API 1.41: status 201 with an Id for what is made, 204 for what is done, an object with `message` for a
 * refusal, logs with eight bytes before each piece), for containers named after their service.
 */
async function engine(test: TestContext, of: Readonly<Record<string, { states: States; said?: string; refused?: [number, string] }>>) {
  const directory = await mkdtemp(join(tmpdir(), "guild-engine-"));
  const socket = join(directory, "docker.sock");
  const calls: Call[] = [];
  const looks = new Map<string, number>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const raw = Buffer.concat(chunks);
      const json = request.headers["content-type"] === "application/json";
      calls.push({ what: `${request.method} ${request.url}`, body: json ? JSON.parse(raw.toString("utf8")) : raw });
      const [, name = ""] =
        /guildhall-s1-(\w+)/.exec(decodeURIComponent(request.url ?? "")) ?? /containers\/(\w+)/.exec(request.url ?? "") ?? [];
      const one = of[name];
      const answer = (status: number, value?: unknown): void =>
        void response.writeHead(status).end(value === undefined ? "" : Buffer.isBuffer(value) ? value : JSON.stringify(value));
      if (request.url?.startsWith("/containers/create") === true) {
        if (one?.refused !== undefined) return answer(one.refused[0], { message: one.refused[1] });
        return answer(201, { Id: name });
      }
      if (request.method === "HEAD") return answer(request.url?.includes("usr") === true ? 200 : 404);
      if (request.url?.includes("/logs") === true) {
        const text = Buffer.from(one?.said ?? "");
        return answer(200, Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, text.length]), text]));
      }
      if (request.method === "GET") {
        const look = looks.get(name) ?? 0;
        looks.set(name, look + 1);
        return answer(200, { State: one?.states[Math.min(look, one.states.length - 1)] });
      }
      answer(204);
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  test.after(async () => {
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true });
  });
  const client = new DockerEngine(`unix://${socket}`);
  const volumes = new SandboxVolumes(client, "s1", { mine: "yes" }, [{ name: "data", at: "/data" }]);
  const plan = {
    beside: "box",
    labels: { "app.guildhall.sandbox": "s1" },
    limits: { memoryBytes: 64 * 2 ** 20, processes: 10 },
    swapLimit: true,
    runtime: "",
    hosts: "/state/hosts",
    volumes,
  };
  return { services: new Services(client, plan), volumes, calls };
}

const service = (name: string, more: Partial<SandboxService> = {}): SandboxService => ({ name, image: `${name}:1`, env: {}, ...more });
const up = { Running: true };

describe("services beside a sandbox, as the engine is asked for them", () => {
  it("share the sandbox's network and processes and nothing of the machine, with its limits and few capabilities", async (test) => {
    const { services, calls } = await engine(test, { db: { states: [up] } });
    const health = { test: ["CMD", "ready"], intervalSeconds: 1.5, timeoutSeconds: 2, startSeconds: 3, retries: 4 };
    await services.start([
      service("db", {
        env: { A: "1" },
        command: ["run"],
        entrypoint: ["/in"],
        user: "postgres",
        directory: "/d",
        health,
        temporary: ["/run/db"],
      }),
    ]);
    assert.deepEqual(services.told, ["Service db runs, at db on its own port."]);
    const [made] = calls;
    assert.equal(made?.what, "POST /containers/create?name=guildhall-s1-db");
    const { HostConfig: host, ...asked } = bodyOf<Record<string, unknown> & { HostConfig: Record<string, unknown> }>(made);
    assert.deepEqual(asked, {
      Image: "db:1",
      Env: ["A=1"],
      Cmd: ["run"],
      Entrypoint: ["/in"],
      User: "postgres",
      WorkingDir: "/d",
      Healthcheck: { Test: ["CMD", "ready"], Interval: 1.5e9, Timeout: 2e9, StartPeriod: 3e9, Retries: 4 },
      Labels: { "app.guildhall.sandbox": "s1" },
    });
    const { Mounts: mounts, CapAdd: capabilities, LogConfig: _, ...rest } = host;
    assert.deepEqual(rest, {
      NetworkMode: "container:box",
      PidMode: "container:box",
      IpcMode: "private",
      CgroupnsMode: "private",
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      RestartPolicy: { Name: "no" },
      Memory: 64 * 2 ** 20,
      MemorySwap: 64 * 2 ** 20,
      PidsLimit: 10,
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
      Tmpfs: { "/run/db": `rw,exec,nosuid,nodev,size=${32 * 2 ** 20}` },
    });
    for (const dear of ["SYS_ADMIN", "NET_RAW", "NET_ADMIN", "SYS_PTRACE", "MKNOD", "SETFCAP"])
      assert.ok(!(capabilities as string[]).includes(dear), dear);
    assert.deepEqual(
      (mounts as Array<Record<string, unknown>>).map((one) => [one["Type"], one["Source"], one["Target"], one["ReadOnly"]]),
      [["bind", "/state/hosts", "/etc/hosts", true]],
    );
    assert.equal(hostsOf([service("db"), service("web")]).split("\n")[2], "127.0.0.1 db web");
  });

  it("are waited for until they are well; what does not run is told with its last words, and the others go on", async (test) => {
    const health = (status: string) => ({ Running: true, Health: { Status: status } });
    const { services, calls } = await engine(test, {
      slow: { states: [health("starting"), health("starting"), health("healthy")] },
      ill: { states: [health("starting"), health("unhealthy")], said: "cannot\u0007\n listen " },
      hasty: { states: [{ Running: false, ExitCode: 3 }], said: `${"x".repeat(120)} no password` },
      none: { states: [], refused: [404, "No such image: none:1"] },
      last: { states: [up] },
    });
    await services.start(["slow", "ill", "hasty", "none", "last"].map((name) => service(name)));
    assert.deepEqual(services.told, [
      "Service slow runs, at slow on its own port.",
      "Service ill does not run: it is unhealthy: cannot listen",
      `Service hasty does not run: it ended with code 3: ${"x".repeat(120)} no password`,
      "Service none does not run: the Docker engine refused: No such image: none:1 (POST /containers/create)",
      "Service last runs, at last on its own port.",
    ]);
    calls.length = 0;
    await services.remove();
    assert.deepEqual(
      calls.map(({ what }) => what).toSorted(),
      ["hasty", "ill", "last", "slow"].map((name) => `DELETE /containers/${name}?force=1&v=1`),
    );
  });

  it("get their files before they start, below directories that are made where the image has none", async (test) => {
    const { services, calls } = await engine(test, { db: { states: [up] } });
    const files = [
      { at: "/init.d/one.sql", text: "select 1;\n", mode: 0o644 },
      { at: "/usr/x.sh", text: "#!/bin/sh\n", mode: 0o755 },
    ];
    await services.start([service("db", { files })]);
    const order = calls.map(({ what }) => what.split("?")[0]);
    const [put, start] = ["PUT /containers/db/archive", "POST /containers/db/start"].map((what) => order.indexOf(what));
    assert.ok(put !== undefined && start !== undefined && put > 0 && put < start, order.join("\n"));
    const archive = bodyOf<Buffer>(calls[put]).toString("latin1");
    const names = [...archive.matchAll(/([\w./]+)\0+0000(644|755)\0/g)].map(([, name, mode]) => `${name} ${mode}`);
    assert.deepEqual(names, ["init.d/ 755", "init.d/one.sql 644", "usr/x.sh 755"]);
  });

  it("share volumes by name, which are made before them and removed after them", async (test) => {
    const { services, volumes, calls } = await engine(test, { db: { states: [up] } });
    await volumes.make({ image: "app:1", volumes: [{ name: "data", at: "/mine" }], owner: { uid: 7, gid: 8 } });
    await services.start([
      service("db", {
        volumes: [
          { name: "data", at: "/var/db" },
          { name: "data", at: "/copy", readOnly: true },
        ],
      }),
    ]);
    await volumes.remove();
    assert.deepEqual(calls[0], {
      what: "POST /volumes/create",
      body: { Name: "guildhall-s1-data", Driver: "local", Labels: { mine: "yes" } },
    });
    // The sandbox's own is given to its user in a container that never starts.
    const [, never, put, gone] = calls.map(({ what }) => what);
    assert.deepEqual(
      [never, put, gone],
      ["POST /containers/create?name=guildhall-s1-volumes", "PUT /containers/volumes/archive?path=/", "DELETE /containers/volumes?force=1"],
    );
    assert.match(bodyOf<Buffer>(calls[2]).toString("latin1"), /^mine\/\0+0000755\x000000007\x000000010\0/);
    const { Mounts: mounts } = bodyOf<{ HostConfig: { Mounts: unknown[] } }>(calls[4]).HostConfig;
    assert.deepEqual(mounts.slice(0, 2), [
      { Type: "volume", Source: "guildhall-s1-data", Target: "/var/db", ReadOnly: false },
      { Type: "volume", Source: "guildhall-s1-data", Target: "/copy", ReadOnly: true },
    ]);
    assert.equal(calls.at(-1)?.what, "DELETE /volumes/guildhall-s1-data?force=1");
  });
});
