import { existsSync } from "node:fs";
import { join } from "node:path";

import { GuildError } from "@guildhall/core";

import { ServiceSystem } from "../services/system.ts";
import { type Field, person, type ProductAttack, scriptOf } from "./product.ts";

/** What goes for the git that Guildhall itself runs on the host. */
export const gitAttacks: ProductAttack[] = [
  {
    id: "argument-injection-git",
    title: "names a task's repository and revision so that git takes them for options or programs",
    by: "URLs and revisions are checked; git on the host runs with transports that are none of programs",
    attempt: gitArguments,
    async control(field) {
      await person(field, `git init -q other; git clone "--upload-pack=touch ${field.marker};:" "$PWD/other" copy`);
      return existsSync(field.marker);
    },
  },
  {
    id: "submodule-url",
    title: "names a program as the URL of a submodule, in a repository of a task, where the worker's environment allows such URLs",
    by: "git on the host runs with transports that are none of programs, and touches no submodule",
    async attempt(field) {
      await person(field, withSubmodule(field));
      const output = await submitted(field, [["--git", `file://${join(field.workspace, "repo")}`]], {
        GIT_ALLOW_PROTOCOL: "ext:file:https",
      });
      if (!output.includes('"done"')) throw new GuildError("internal", output);
      return existsSync(field.marker);
    },
    async control(field) {
      await person(field, `${withSubmodule(field)}; GIT_ALLOW_PROTOCOL=ext:file git clone -q --recurse-submodules repo copy`);
      return existsSync(field.marker);
    },
  },
];

function withSubmodule({ marker }: Field): string {
  return [
    "git init -q repo; cd repo; git config user.name a; git config user.email a@b; git init -q x; git -C x -c user.name=a -c user.email=a@b commit -q --allow-empty -m x",
    "git add x; rm -rf x; git config -f .gitmodules submodule.x.path x",
    `git config -f .gitmodules submodule.x.url 'ext::touch ${marker}'; git add .gitmodules; git commit -q -m x; cd ..`,
  ].join("; ");
}

async function gitArguments(field: Field): Promise<boolean> {
  await person(
    field,
    `git init -q repo; git -C repo -c user.name=a -c user.email=a@b commit -q --allow-empty -m x; printf %s '${field.canary}' > secret`,
  );
  const repository = `file://${join(field.workspace, "repo")}`;
  const output = await submitted(field, [
    ["--git", `--upload-pack=touch ${field.marker};:`],
    ["--git", `ext::sh -c 'touch ${field.marker}'`],
    ["--git", `ssh://-oProxyCommand=touch ${field.marker}/x`],
    ["--git", repository, "--ref", `--pathspec-from-file=${field.workspace}/secret`],
    ["--git", repository, "--ref", `--upload-pack=touch ${field.marker}`],
    ["--git", repository, "--ref", "HEAD", "--push", `--receive-pack=touch ${field.marker};:`],
  ]);
  return existsSync(field.marker) || output.includes(field.canary);
}

/** What services say of tasks that name repositories so. */
async function submitted(field: Field, repositories: readonly string[][], env: Record<string, string> = {}): Promise<string> {
  const system = new ServiceSystem();
  try {
    const all = await system.start("all", ["gateway", "orchestrator", "worker", "models"], {
      env: {
        ...env,
        GUILD_SANDBOX_PROVIDER: field.provider,
        DOCKER_HOST: field.docker?.host ?? "",
        GUILD_SANDBOX_DOCKER_RUNTIME: "runc",
      },
    });
    system.gateway = all.address;
    const script = scriptOf(field, [], "done");
    let output = "";
    for (const options of repositories) {
      const args = ["task", "submit", "x", "--model", `scripted:${script}`, "--yes", "--attempts", "1", "--wait", "--json"];
      const done = await system.guild([...args, ...pairs(options)]);
      output += done.stdout + done.stderr;
    }
    return output + (await system.guild(["task", "list", "--json"])).stdout;
  } finally {
    await system.close();
  }
}

/** `--ref`, value → `--ref=value`, so that a value may begin with a dash. */
function pairs(values: readonly string[]): string[] {
  return values.flatMap((value, index) => (index % 2 === 0 ? [`${value}=${values[index + 1] ?? ""}`] : []));
}
