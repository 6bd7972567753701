import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

const scratch = mkdtempSync(join(tmpdir(), "gh-nix-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Evaluated {
  config: {
    systemd?: { services: { guildhall: { environment: Record<string, string>; serviceConfig: Record<string, unknown> } } };
    users?: { users: { guildhall: { isSystemUser: boolean } } };
  };
  undescribed: string[];
}

/** The NixOS module, evaluated with these options (a Nix expression). */
function evaluate(options: string): Evaluated {
  const expression = `import ${join(import.meta.dirname, "module.test.nix")} ${options}`;
  const args = ["--eval", "--strict", "--json", "--option", "substituters", "", "--expr", expression];
  // A store of its own: evaluating writes nothing into that of the machine.
  const env = { PATH: process.env["PATH"], HOME: scratch, NIX_REMOTE: scratch, NIX_STATE_DIR: join(scratch, "state") };
  return JSON.parse(execFileSync("nix-instantiate", args, { encoding: "utf8", env, stdio: ["ignore", "pipe", "pipe"] })) as Evaluated;
}

describe("the NixOS module", () => {
  it("does nothing until it is enabled, and describes every option", () => {
    const { config, undescribed } = evaluate("{ package = /opt/guildhall; }");
    assert.deepEqual(config, {});
    assert.deepEqual(undescribed, []);
  });

  it("runs the services that are named under an unprivileged user", () => {
    const { config } = evaluate(
      '{ enable = true; package = "/opt/guildhall"; services = [ "worker" ]; join = "https://a:7401"; settings = { GUILD_WORKERS_SLOTS = "4"; }; environmentFile = "/run/keys/guildhall"; }',
    );
    const unit = config.systemd?.services.guildhall;
    assert.equal(
      unit?.serviceConfig["ExecStart"],
      "'/nix/store/node/bin/node' '/opt/guildhall/dist/guild.js' 'serve' 'worker' '--listen' '127.0.0.1:7400' '--join' 'https://a:7401'",
    );
    assert.equal(unit.serviceConfig["User"], "guildhall");
    assert.equal(unit.serviceConfig["EnvironmentFile"], "/run/keys/guildhall");
    assert.equal(unit.environment["GUILD_WORKERS_SLOTS"], "4");
    assert.equal(config.users?.users.guildhall.isSystemUser, true);
  });

  it("refuses an option that there is not", () => {
    assert.throws(() => evaluate('{ kitchen = "x"; package = "/opt/guildhall"; }'), /Command failed/);
  });
});
