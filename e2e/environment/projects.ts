import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { writeFixtureFlake } from "../../packages/environment/src/testing/fixture-flake.ts";
import type { Home } from "../cli/guild.ts";

/** A project whose environment has one tool, and what is particular about it. */
export interface Project {
  name: string;
  kind: string;
  source: string;
  tool: { name: string; command: string };
  /** Makes the environment have the tool in this version, and says so in the project. */
  declare(home: Home, workspace: string, version: string): void;
  /** Besides the tool: a command, and what it prints. */
  also: { command: string; prints(workspace: string): RegExp };
  /** In the agent's prompt, besides what is in everybody's. */
  told: readonly string[];
  /** What the agent is told when the sandbox begins. */
  began?: RegExp;
  sandbox?: string;
}

/** Writes a file, its directories too. */
export const put = (directory: string, path: string, text: string, mode = 0o644): void => {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), text, { mode });
};

export const PROJECTS: Project[] = [
  {
    name: "flake",
    kind: "nix",
    source: "flake.nix",
    tool: { name: "greet", command: "greet" },
    declare: (_, workspace, version) => writeFixtureFlake(workspace, { version, hook: "export HOOKED=$PWD" }),
    also: {
      command: 'echo "$GREETING $FROM_SETUP $HOOKED"; command -v python3 || echo pure',
      prints: (workspace) => new RegExp(`hello yes ${workspace}\\s+pure`),
    },
    told: ["Environment: flake.nix (nix; sha256:", "build: `nix build`"],
  },
  {
    name: "plain",
    kind: "toolchain",
    source: ".nvmrc",
    tool: { name: "node", command: "node --version" },
    declare(home, workspace, version) {
      put(home.directory, `.nvm/versions/node/v${version}/bin/node`, `#!/bin/sh\necho v${version}\n`, 0o755);
      put(workspace, ".nvmrc", `${version}\n`);
      put(workspace, "package.json", JSON.stringify({ scripts: { test: "node --test", lint: "eslint ." } }));
      put(workspace, "package-lock.json", "{}");
      put(workspace, "compose.yaml", "services:\n  db:\n    image: postgres:16\n    ports: ['5433:5432']\n");
    },
    also: { command: "echo $0", prints: () => /bash/ },
    told: ["node 2.0.0", "test: `npm test`", "Service db (compose.yaml): postgres:16, port 5433"],
  },
  {
    name: "devcontainer",
    kind: "devcontainer",
    source: ".devcontainer/devcontainer.json",
    tool: { name: "greet", command: "greet" },
    sandbox: "docker",
    declare(_, workspace, version) {
      const content = {
        image: "small:1",
        features: { "./greet": { version } },
        remoteEnv: { WHERE: "${containerWorkspaceFolder}" },
        onCreateCommand: "echo created > created",
        postCreateCommand: { hello: ["greet"] },
        postStartCommand: "echo 'no such thing' >&2; exit 3",
      };
      put(workspace, ".devcontainer/devcontainer.json", JSON.stringify(content));
      put(workspace, ".devcontainer/greet/devcontainer-feature.json", '{"id": "greet", "containerEnv": {"GREETS": "yes"}}');
      const program = 'printf "#!/bin/sh\\necho greet $VERSION\\n" > /usr/local/bin/greet\nchmod 755 /usr/local/bin/greet\n';
      put(workspace, ".devcontainer/greet/install.sh", `#!/bin/sh\nset -e\n${program}`, 0o755);
    },
    also: {
      command: 'echo "$GREETS $WHERE"; read -r line < created; echo $line; command -v python3 || echo image',
      prints: (workspace) => new RegExp(`yes ${workspace}\\s+created\\s+image`),
    },
    told: ["Environment: .devcontainer/devcontainer.json (devcontainer; sha256:"],
    began: /onCreateCommand ran\.\n- postCreateCommand hello ran\.\n- postStartCommand failed: exit code 3: no such thing/,
  },
];

/** What an agent does in each: looks, runs the tool and a server while somebody else works, writes over, and breaks a type. */
export const STEPS = ({ tool, also }: Project, port: number) => [
  { calls: [{ tool: "edit", args: { command: "view", path: "notes.txt" } }] },
  {
    calls: [
      {
        tool: "bash",
        args: {
          command: `${tool.command}; ${also.command}; (/run/guildhall/bin/socat TCP-LISTEN:${port},bind=127.0.0.1,fork - >/dev/null 2>&1 &) ; until [ -e go ]; do read -t 0.1 <> <(:); done; read -t 0.5 <> <(:); true`,
        },
      },
    ],
  },
  { calls: [{ tool: "edit", args: { command: "create", path: "notes.txt", file_text: "agent\n" } }] },
  { calls: [{ tool: "edit", args: { command: "str_replace", path: "a.ts", old_str: "return a;", new_str: "return String(a);" } }] },
  { calls: [{ tool: "finish", args: { done: true, summary: "seen" } }] },
];
