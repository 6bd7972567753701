import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";

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

  it("say of each certificate that is not accepted why, and what to do", async () => {
    verifies("F5");
    const own = await issue("own");
    const ca = join(own, "ca.pem");
    const other = { GUILD_HOME: join(system.home.directory, "other") };
    assert.equal((await system.home.guild(["certs", "init"], { env: other })).code, 0);
    const foreign = (await system.home.guild(["certs", "issue", "foreign"], { env: other })).stdout.trim();
    const gateway = async (name: string, certificates: string, join: string, env: Record<string, string> = {}) =>
      await system.start(name, ["gateway"], { join, env: { GUILD_SERVICES_CERTS: certificates, ...env } });
    const clock = { GUILD_TEST_CLOCK: system.home.write("past.clock", String(-86_400_000)) };
    const moved = { ...clock, NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, "moved-clock.mjs")).href}` };
    const past = await gateway("past", await issue("past", "--days", "0"), models.address, moved);
    const elsewhere = await gateway("elsewhere", await issue("elsewhere", "--host", "elsewhere.example"), models.address);
    const strange = await gateway("strange", foreign, models.address);
    const plain = await system.start("plain", ["models"]);
    const says = async (address: string, authority: string, line: RegExp, exit = 1) => {
      const env = { GUILD_GATEWAY: address, GUILD_TOKEN: system.token, ...(authority === "" ? {} : { GUILD_GATEWAY_CA: authority }) };
      const { code, stderr } = await system.home.guild(["session", "list"], { env });
      assert.match(stderr, line);
      assert.deepEqual([code, stderr.trim().split("\n").length], [exit, 1], stderr);
    };
    // To people.
    await says(
      `https://${past.address}`,
      ca,
      /^guild: the gateway's certificate has expired — whoever runs it makes another: guild certs issue$/m,
    );
    await says(
      `https://${elsewhere.address}`,
      ca,
      /certificate is for another host \(.*127\.0\.0\.1.*\) — reach it by a name that it holds, or .*--host HOST$/m,
    );
    await says(
      `https://${strange.address}`,
      ca,
      /certificate is not of an authority that is trusted here — name the ca\.pem .* GUILD_GATEWAY_CA$/m,
    );
    await says(
      `https://${strange.address}`,
      "",
      /certificate is not of an authority that is trusted here — name the ca\.pem .* GUILD_GATEWAY_CA$/m,
    );
    await says(`https://${plain.address}`, ca, /does not speak TLS as this does: .* — is it a plain one\?/);
    await says(`https://${plain.address}`, "/nonexistent/ca.pem", /authority cannot be read: .* — check GUILD_GATEWAY_CA/, 2);
    await says(`http://${strange.address}`, "", /the gateway hangs up .* — if it speaks TLS, GUILD_GATEWAY is https:/);
    // To each other: the gateway between says it on.
    const next = await gateway("next", own, [past, elsewhere, strange, plain].map(({ address }) => address).join(","));
    for (const line of [
      /the other side's certificate has expired \(https:.*\) — make another there: guild certs issue$/m,
      /the other side's certificate is for another host \(https:.*\) — .*--host HOST$/m,
      /the other side's certificate is not of our authority \(https:.*\) — both sides need certificates of one authority/,
      /the other side does not speak TLS \(https:.*\) — give it a certificate too/,
    ])
      await says(`https://${next.address}`, ca, line);
    const worker = await system.home.guild(["serve", "worker", "--join", `https://${strange.address}`], {
      env: { GUILD_SERVICES_CERTS: own },
    });
    assert.equal(worker.code, 1);
    assert.match(
      worker.stderr,
      /^guild: the other side's certificate is not of our authority .* — both sides need certificates of one authority/m,
    );
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
    // One whose certificate is over while it works.
    const clock = { GUILD_TEST_CLOCK: system.home.write("past.clock", String(-86_400_000)) };
    const moved = { ...clock, NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, "moved-clock.mjs")).href}` };
    const env = { ...moved, GUILD_SERVICES_CERTS: await issue("late", "--days", "0") };
    const { code, stderr } = await system.home.guild(["serve", "worker", "--join", address], { env });
    assert.equal(code, 1);
    assert.match(stderr, /^guild: your certificate has expired .*— make another: guild certs issue$/m);
  });
});
