import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { verifies } from "../verifies.ts";
import { type Service, ServiceSystem } from "./system.ts";

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
});
