import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { pause, type Service, ServiceSystem } from "./system.ts";

describe("services over TLS", () => {
  const system = new ServiceSystem();
  let models: Service;
  let certs: string;
  const issue = async (name: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await system.home.guild(["certs", "issue", name, ...args]);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  before(async () => {
    const { code, stderr } = await system.home.guild(["certs", "init"]);
    assert.equal(code, 0, stderr);
    certs = await issue("models");
    models = await system.start("models", ["models"], { env: { GUILD_SERVICES_CERTS: certs } });
  });
  after(() => system.close());

  /** A gateway that joins the process at `models` with these certificates, and what one call through it says. */
  const through = async (name: string, directory: string): Promise<string> => {
    const gateway = await system.start(name, ["gateway"], { join: models.address, env: { GUILD_SERVICES_CERTS: directory } });
    system.gateway = `https://${gateway.address}`;
    const { stdout, stderr } = await system.guild(["session", "list"], { env: { GUILD_GATEWAY_CA: join(directory, "ca.pem") } });
    return stdout + stderr;
  };

  it("speak to each other with certificates of one authority, and to clients that trust it", async () => {
    verifies("F5");
    const said = await through("gateway", await issue("gateway"));
    // It got as far as a process that does not run that service.
    assert.match(said, /unimplemented|not implemented|another version/i);
  });

  it("say in one line what is wrong with a certificate", async () => {
    const expired = await issue("expired", "--days", "0");
    // Good for an hour before it was made, and not a moment longer.
    const soon = await system.home.guild(["serve", "models", "--listen", "127.0.0.1:0"], { env: { GUILD_SERVICES_CERTS: expired } });
    assert.equal(soon.code, 1);
    assert.match(soon.stderr, /^guild: the certificate has expired on .* guild certs issue makes another$/m);
    const none = await system.home.guild(["serve", "models", "--listen", "127.0.0.1:0"], { env: { GUILD_SERVICES_CERTS: "/nonexistent" } });
    assert.match(none.stderr, /^guild: a certificate cannot be read .*guild certs issue makes one$/m);
    const again = await system.home.guild(["certs", "init"]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /there is an authority already/);
  });

  it("give a worker a certificate for a join token, once", async () => {
    verifies("F5");
    const home = system.home.env["HOME"] ?? "";
    const authority = join(dirname(certs));
    const orchestrator = await system.start("orchestrator", ["orchestrator"], {
      env: {
        GUILD_SERVICES_CERTS: await issue("orchestrator"),
        GUILD_SERVICES_AUTHORITY: authority,
        GUILD_SERVICES_MODELS: models.address,
      },
    });
    const token = (await system.home.guild(["certs", "join-token", "far-worker"])).stdout.trim();
    assert.match(token, /^[\w-]{32}\.[\w-]{43}$/);
    const address = `https://localhost:${orchestrator.port}`;
    const worker = { join: address, env: { GUILD_SERVICES_MODELS: models.address } };
    const first = await system.start("far", ["worker"], { ...worker, env: { ...worker.env, GUILD_SERVICES_JOIN_TOKEN: token } });
    while (!first.errors.includes("has joined")) await pause(100);
    first.child.kill("SIGTERM");
    await first.ended;
    // Its certificate is all that it shows from now on.
    const second = await system.start("far", ["worker"], worker);
    while (!second.errors.includes("has joined")) await pause(100);
    const refused = async (shown: string, pattern: RegExp) => {
      const env = {
        GUILD_HOME: join(home, `refused-${shown.length}`),
        GUILD_SERVICES_JOIN_TOKEN: shown,
        GUILD_SERVICES_TOKEN: system.token,
      };
      const { code, stderr } = await system.home.guild(["serve", "worker", "--join", address], { env });
      assert.notEqual(code, 0);
      assert.match(stderr, pattern);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    };
    await refused(token, /the join token is not known: it was never made here, or has been shown already .* guild certs join-token NAME/);
    await refused(`${token.slice(0, 33)}${"A".repeat(43)}`, /another authority's service answers there than the join token is for/);
    await refused("nonsense", /this is no join token/);
  });
});
