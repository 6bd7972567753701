import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { runScript, type SandboxFixture } from "@guildhall/core/testing";

import { createCheckpointer } from "../checkpoint/checkpointer.ts";
import { FileCheckpointStore } from "../checkpoint/file-checkpoint-store.ts";
import { providerFixture } from "../testing/provider-fixture.ts";
import { BubblewrapProvider } from "./provider.ts";

const run = promisify(execFile);

/** What an agent does step by step, and what a person does in the workspace after each while the sandbox runs on. */
const cases: Array<{ name: string; steps: string[]; person: string }> = [
  { name: "one that the index names", steps: ["make sub; git add sub"], person: "git status" },
  { name: "one in an ignored directory that the index names", steps: ["make ignored/x; git add -f ignored/x"], person: "git status" },
  { name: "one that is armed later", steps: ["plain sub; git add sub", "arm sub"], person: "git status; cd sub; git status" },
  { name: "one that is armed again", steps: ["make sub; git add sub", "arm sub", "arm sub"], person: "git status; cd sub; git status" },
  {
    name: "a hook that is written into one that was there",
    steps: ["plain sub; echo one > sub/file", 'echo "$evil" > sub/.git/hooks/pre-commit; chmod +x sub/.git/hooks/pre-commit'],
    person: "cd sub; git commit -q --allow-empty -m x",
  },
  {
    name: "a file that says where its directory is",
    steps: ["make ignored/x; mv ignored/x/.git ignored/store; mkdir sub; echo 'gitdir: ../ignored/store' > sub/.git"],
    person: "cd sub; git status",
  },
  {
    name: "a link to its directory",
    steps: ["make ignored/x; mv ignored/x/.git ignored/store; mkdir sub; ln -s ../ignored/store sub/.git"],
    person: "cd sub; git status",
  },
  {
    name: "a directory whose common one lies elsewhere",
    steps: ["make ignored/x; mkdir -p sub/.git; echo ref: refs/heads/main > sub/.git/HEAD; echo ../../ignored/x/.git > sub/.git/commondir"],
    person: "cd sub; git status",
  },
  {
    name: "a bare one of another name",
    steps: ['git init -q --bare store; git -C store config alias.st "!$evil"', 'git -C store config alias.stt "!$evil"'],
    person: "cd store; git st; git stt",
  },
  { name: "old files under a new name", steps: ["mv fixture sub; mv sub/dotgit sub/.git"], person: "cd sub; git status" },
  {
    name: "one that its owner hardly may enter",
    steps: ["make sub; git add sub; chmod 0311 sub/.git/hooks; chmod 0511 sub/.git"],
    person: "git status",
  },
];

describe("repositories that an agent makes while its sandbox runs", () => {
  let fixture: SandboxFixture;
  let base: string;
  before(async () => {
    fixture = await providerFixture((stateDir) => new BubblewrapProvider({ stateDir }));
    base = await mkdtemp(join(tmpdir(), "guildhall-during-"));
  });
  after(async () => {
    await fixture.close();
    await rm(base, { recursive: true, force: true });
  });

  let count = 0;
  const open = async () => {
    const workspace = await realpath(await fixture.newWorkspace());
    const marker = join(base, `ran-${++count}`);
    const tools = [
      `evil='touch ${marker} || touch ${workspace}/ran; :'`,
      'plain() { git init -q "$1"; git -C "$1" commit -q --allow-empty -m x; }',
      'arm() { git -C "$1" config core.fsmonitor "$evil"; }',
      'make() { plain "$1"; arm "$1"; }',
    ].join("\n");
    const person = async (script: string): Promise<void> => {
      const env = { PATH: process.env["PATH"], GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1", ...identity };
      await run("bash", ["-c", `${tools}\n${script}`], { cwd: workspace, env }).catch(() => undefined); // what does not work does no harm
    };
    await writeFile(join(workspace, ".gitignore"), "ignored/\n");
    await person("git init -q; git add .; git commit -qm first; make fixture; mv fixture/.git fixture/dotgit; mkdir ignored");
    await sleep(200); // times of files come in ticks
    const sandbox = await fixture.provider.create({ id: `during-${process.pid}-${count}`, workspace });
    const store = await FileCheckpointStore.open(join(base, `store-${count}`));
    const checkpointer = createCheckpointer({ sandbox, store, stateDir: join(base, `state-${count}`) });
    await checkpointer.capture();
    const step = async (script: string): Promise<readonly string[]> => {
      const exported = Object.entries(identity).map(([name, value]) => `export ${name}=${value}`);
      await runScript(sandbox, [...exported, tools, script].join("\n"));
      return (await checkpointer.capture()).disarmed ?? [];
    };
    const ran = (): boolean => existsSync(marker) || existsSync(join(workspace, "ran"));
    const close = async (): Promise<void> => {
      await checkpointer.close();
      await sandbox.dispose();
      await store.close();
      await run("chmod", ["-R", "u+rwX", workspace]);
    };
    return { workspace, person, step, ran, close };
  };

  const full = process.env["GUILD_TEST_FULL"] !== undefined;
  for (const { name, steps, person } of cases.filter((_, index) => full || index % 3 === 1)) {
    it(`run nothing of the person's after a step: ${name}`, async () => {
      const world = await open();
      try {
        const disarmed: string[] = [];
        for (const step of steps) disarmed.push(...(await world.step(step)));
        assert.ok(disarmed.length > 0, "told of");
        await world.person(person);
        assert.equal(world.ran(), false);
        assert.deepEqual(await world.step("true"), [], "nothing is left to be done");
      } finally {
        await world.close();
      }
    });
  }

  it("would run it otherwise", async () => {
    const world = await open();
    try {
      await world.person("make sub; git status; cd sub; git status");
      assert.equal(world.ran(), true);
    } finally {
      await world.close();
    }
  });

  it("are found in ignored directories a little later", async () => {
    const world = await open();
    try {
      const disarmed = [...(await world.step("make ignored/deep/in/x"))];
      while (!existsSync(join(world.workspace, "ignored/deep/in/x/.git/config.from-sandbox"))) await sleep(100);
      await world.person("cd ignored/deep/in/x; git status");
      assert.equal(world.ran(), false);
      for (let tries = 0; disarmed.length === 0 && tries < 50; tries += 1) disarmed.push(...(await world.step("true")));
      assert.deepEqual(disarmed, ["ignored/deep/in/x/.git"], "told of once");
    } finally {
      await world.close();
    }
  });

  it("keep what a person had configured in those that were there before", async () => {
    const world = await open();
    await world.close();
    await world.person("make old; git -C old config alias.st status");
    await sleep(200); // times of files come in ticks
    const sandbox = await fixture.provider.create({ id: `during-old-${process.pid}`, workspace: world.workspace });
    const store = await FileCheckpointStore.open(join(base, "store-old"));
    const checkpointer = createCheckpointer({ sandbox, store, stateDir: join(base, "state-old") });
    try {
      await checkpointer.capture();
      await runScript(sandbox, "cd old; echo x > file; git add file; git -c user.name=a -c user.email=a@b commit -qm x");
      assert.equal((await checkpointer.capture()).disarmed, undefined);
      const { stdout } = await run("git", ["-C", join(world.workspace, "old"), "config", "alias.st"]);
      assert.equal(stdout, "status\n");
    } finally {
      await checkpointer.close();
      await sandbox.dispose();
      await store.close();
    }
  });
});

const identity = { GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@b", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@b" };
