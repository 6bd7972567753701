import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, it } from "node:test";
import { promisify } from "node:util";

import { featureRegistry } from "../../packages/environment/src/testing/feature-registry.ts";
import { type Home, jsonLines } from "../cli/guild.ts";
import { verifies } from "../verifies.ts";

const runProgram = promisify(execFile);

/** Containers that an engine still has. */
async function containersOf(host: string): Promise<string[]> {
  const { stdout } = await runProgram("docker", ["-H", host, "ps", "--all", "--format", "{{.Names}}"]);
  return stdout.split("\n").filter((name) => name !== "");
}

async function volumesOf(host: string): Promise<string[]> {
  const { stdout } = await runProgram("docker", ["-H", host, "volume", "ls", "--quiet"]);
  return stdout.split("\n").filter((name) => name !== "");
}

/** Where the cases run: `settings` sets those of [environment] besides. */
export interface DevcontainerPlace {
  home: Home;
  host: string;
  settings(...environment: string[]): void;
}

/** What a devcontainer.json may ask for besides an image, and what is said when it cannot be had; the engine has the image `small:1`. */
export function devcontainerCases(of: () => DevcontainerPlace): void {
  let home: Home;
  let workspace = "";

  const devcontainer = (content: object): void => {
    mkdirSync(join(workspace, ".devcontainer"), { recursive: true });
    writeFileSync(join(workspace, ".devcontainer/devcontainer.json"), JSON.stringify(content));
  };
  const show = async () =>
    jsonLines((await home.guild(["env", "show", "--workspace", workspace, "--sandbox", "docker", "--json"])).stdout)[0] ?? {};

  before(() => {
    ({ home } = of());
    workspace = join(home.directory, "project");
    devcontainer({ image: "small:1" });
  });

  it("for another platform, or of an image that is not there, says so in one line, and the former generation stays", async () => {
    assert.match(String((await show())["differences"]), /devcontainer\.json is not trusted/);
    await home.guild(["trust", "add", workspace]);
    const { hash } = await show();
    for (const [change, line] of [
      [{ image: "small:1", runArgs: ["--platform=linux/s390x"] }, /is for linux\/s390x, and this machine is linux\/\w+.*stays/],
      [{ image: "nowhere:1" }, /the Docker engine has no image nowhere:1.*stays/],
    ] as const) {
      devcontainer(change);
      await home.guild(["trust", "add", workspace]);
      const shown = await show();
      assert.match(String(shown["differences"]), line);
      assert.equal(shown["hash"], hash);
    }
  });

  it("may build its image from a Dockerfile, take a service of a Compose file with the others beside it, and have features of a registry that the operator names", async () => {
    verifies("B1");
    const install = '#!/bin/sh\nset -e\nprintf "#!/bin/sh\\necho wave $TO\\n" > /usr/local/bin/wave\nchmod 755 /usr/local/bin/wave\n';
    const registry = await featureRegistry({ "install.sh": install, "devcontainer-feature.json": '{"id": "wave"}' });
    try {
      const beside = (name: string, text: string) => writeFileSync(join(workspace, ".devcontainer", name), text);
      beside("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY built.txt /built.txt\nENV BUILT=yes\nRUN echo more >> /built.txt\n");
      beside("built.txt", "text\n");
      beside(
        "compose.yaml",
        `include: [queue/compose.yaml]
services:
  app:
    extends: { file: common/base.yaml, service: shell }
    environment: { SERVICE: app }
    depends_on: [db]
    volumes: ["..:/workspaces/project", "deps:/workspaces/project/lib/deps", "shared:/shared"]
  db:
    image: "small:1"
    env_file: db.env
    command: [/bin/sh, -c, 'read -r said < /init.d/said; echo $$said > /shared/said; exec /usr/bin/socat TCP-LISTEN:5432,fork,reuseaddr "SYSTEM:read x; echo $$ANSWER"']
    volumes: ["shared:/shared", "./init.d:/init.d:ro"]
    healthcheck: { test: [CMD, /bin/sh, -c, "echo > /dev/tcp/127.0.0.1/5432"], interval: 1s }
  hasty:
    image: "small:1"
    command: [/bin/sh, -c, "echo no password was given >&2; exit 3"]
volumes: { shared: {}, deps: {} }
`,
      );
      for (const directory of ["common", "queue"]) mkdirSync(join(workspace, ".devcontainer", directory));
      beside(
        "common/base.yaml",
        'services: { shell: { build: { context: .., args: { BASE: "small:1" } }, environment: { EXTENDED: "${PLACE}" } } }\n',
      );
      beside("queue/.env", "SAYS=queued\n");
      beside(
        "queue/compose.yaml",
        `services:
  queue:
    image: "small:1"
    command: [/bin/sh, -c, 'exec /usr/bin/socat TCP-LISTEN:5672,fork,reuseaddr "SYSTEM:read x; echo \${SAYS}"']
    healthcheck: { test: [CMD, /bin/sh, -c, "echo > /dev/tcp/127.0.0.1/5672"], interval: 1s }
`,
      );
      beside("more.yaml", 'services: { app: { environment: { SERVICE: "app of ${PLACE}" } }, hasty: { environment: { LATER: "1" } } }\n');
      beside(".env", "PLACE=two files\n");
      beside("db.env", "ANSWER=pong\n");
      mkdirSync(join(workspace, ".devcontainer/init.d"));
      beside("init.d/said", "of the service\n");
      devcontainer({
        dockerComposeFile: ["compose.yaml", "more.yaml"],
        service: "app",
        features: { [`${registry.host}/team/greet:2`]: { to: "you" } },
      });
      assert.equal((await home.guild(["trust", "add", workspace])).code, 0);
      of().settings("feature_registries = []");
      assert.match(String((await show())["differences"]), /registries that environment\.feature_registries does not name/);
      of().settings(`feature_registries = ${JSON.stringify([registry.host])}`);
      const shown = await show();
      assert.equal(shown["kind"], "devcontainer");
      assert.deepEqual(shown["differences"], [
        "the service app does not get .. at /workspaces/project: the project stands at its own path inside",
      ]);
      const command =
        'wave; echo "$BUILT $SERVICE"; read -r one < /built.txt; echo $one; echo $EXTENDED; exec 3<>/dev/tcp/db/5432; echo >&3; read -r two <&3; echo $two; exec 4<>/dev/tcp/queue/5672; echo >&4; read -r four <&4; echo $four; echo kept > lib/deps/one && read -r five < lib/deps/one; echo $five; read -r three < /shared/said; echo $three; echo > /shared/mine && echo written';
      const steps = [
        { calls: [{ tool: "bash", args: { command } }] },
        { calls: [{ tool: "finish", args: { done: true, summary: "waved" } }] },
      ];
      const script = home.write("wave.json", JSON.stringify({ description: "Waves.", steps }));
      const place = ["--workspace", workspace, "--sandbox", "docker", "--model", `scripted:${script}`, "--yes", "--json"];
      const run = await home.guild(["run", "Wave.", ...place]);
      assert.equal(run.code, 0, run.stderr + run.stdout);
      const [observed] = jsonLines(run.stdout).filter(({ kind }) => kind === "action_finished");
      const output = (observed?.["action_finished"] as Record<string, string> | undefined)?.["output"];
      assert.match(output ?? "", /wave you\s+yes app of two files\s+text\s+two files\s+pong\s+queued\s+kept\s+of the service\s+written/);
      const told = jsonLines(run.stdout).flatMap((event) => (event["notice_given"] as Record<string, string> | undefined)?.["text"] ?? []);
      assert.match(
        told.join("\n"),
        /Service db runs, at db on its own port\.[^]*hasty does not run: it ended with code 3: no password was given/,
      );
      // What lies in a volume is none of the project's.
      assert.deepEqual(readdirSync(join(workspace, "lib/deps")), []);
      await home.guild(["down", "--now"]);
      assert.deepEqual(await containersOf(of().host), []);
      assert.deepEqual(await volumesOf(of().host), []);
      // Whoever begins anew reads the generations that it had.
      assert.equal((await show())["hash"], shown["hash"]);
    } finally {
      registry.close();
    }
  });
}
