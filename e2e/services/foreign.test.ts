import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";

import { Home, jsonLines, root } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const run = promisify(execFile);

interface HealthClient extends grpc.Client {
  check(
    request: { service: string },
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, response?: { status: string }) => void,
  ): void;
}

const Health = grpc.makeClientConstructor(healthService, "Health") as unknown as new (
  address: string,
  credentials: grpc.ChannelCredentials,
) => HealthClient;

/** What clients that are not ours see of a running system: a stock gRPC client, its health client, and `buf curl`. */
describe("stock gRPC clients", () => {
  let home: Home;
  let address: string;
  let token: string;
  before(async () => {
    home = new Home();
    const { code, stdout, stderr } = await home.guild(["up", "--listen", "127.0.0.1:0", "--json"]);
    assert.equal(code, 0, stderr);
    const addresses = jsonLines(stdout)[0]?.["addresses"] as string[];
    address = addresses.find((one) => one.startsWith("http://"))?.replace("http://", "") ?? "";
    token = readFileSync(join(home.directory, "guild/data/token"), "utf8").trim();
  });
  after(() => home.remove());

  const check = (service: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const client = new Health(address, grpc.credentials.createInsecure());
      client.check({ service }, { deadline: Date.now() + 60_000 }, (error, response) => {
        client.close();
        if (error === null) resolve(response?.status ?? "");
        else reject(error);
      });
    });

  it("see by grpc.health.v1, without a token, what serves", async () => {
    verifies("A2");
    for (const service of ["", "guildhall.v1.SessionService", "guildhall.v1.ModelService", "grpc.health.v1.Health"]) {
      assert.equal(await check(service), "SERVING", service);
    }
    await assert.rejects(check("guildhall.v1.NoService"), (error) => (error as grpc.ServiceError).code === grpc.status.NOT_FOUND);
  });

  for (const protocol of ["grpc", "grpcweb", "connect"]) {
    it(`find out by reflection what there is, and call it: ${protocol}`, async () => {
      verifies("A1");
      const bearer = `authorization: Bearer ${token}`;
      const curl = (...args: string[]) =>
        run(join(root, "node_modules/.bin/buf"), ["curl", ...args, "--reflect-header", bearer, "-H", bearer], {
          env: { ...home.env, BUF_CACHE_DIR: join(home.directory, "buf") },
        });
      // Of these protocols only gRPC itself needs to be told that there is no TLS.
      const options = ["--protocol", protocol, "--http2-prior-knowledge"];
      const listed = await curl("--list-services", ...options, `http://${address}`);
      for (const name of ["guildhall.v1.SessionService", "guildhall.v1.SystemService", "grpc.health.v1.Health"]) {
        assert.match(listed.stdout, new RegExp(`^${name.replaceAll(".", "\\.")}$`, "m"));
      }
      const { stdout } = await curl(...options, "-d", "{}", `http://${address}/guildhall.v1.SystemService/GetInfo`);
      assert.equal((JSON.parse(stdout) as { protocolMax: number }).protocolMax, 1);
    });
  }

  it("need the token for anything else, and get the status that says so", async () => {
    const raw = new grpc.Client(address, grpc.credentials.createInsecure());
    const call = (path: string, message: Buffer, headers: grpc.Metadata, deadline = Date.now() + 60_000): Promise<number> =>
      new Promise((resolve) => {
        const same = (value: Buffer): Buffer => value;
        raw.makeUnaryRequest(path, same, same, message, headers, { deadline }, (error) => resolve(error?.code ?? grpc.status.OK));
      });
    try {
      const list = "/guildhall.v1.SessionService/ListSessions";
      const authorised = new grpc.Metadata();
      authorised.set("authorization", `Bearer ${token}`);
      assert.equal(await call(list, Buffer.alloc(0), new grpc.Metadata()), grpc.status.UNAUTHENTICATED);
      assert.equal(await call(list, Buffer.alloc(0), authorised), grpc.status.OK);
      assert.equal(await call("/guildhall.v1.SessionService/NoMethod", Buffer.alloc(0), authorised), grpc.status.UNIMPLEMENTED);
      // More than the limit of a message.
      assert.equal(await call(list, Buffer.alloc(65 << 20), authorised), grpc.status.RESOURCE_EXHAUSTED);
      assert.equal(await call(list, Buffer.alloc(0), authorised, Date.now() - 1), grpc.status.DEADLINE_EXCEEDED);
    } finally {
      raw.close();
    }
  });
});
