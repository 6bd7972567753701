import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";

import { create } from "@bufbuild/protobuf";
import { GuildError, type SessionRecord } from "@guildhall/core";
import { type Offer, OfferSchema } from "@guildhall/protocol/internal";

import { managedWorkspaces } from "./managed-workspaces.ts";

const made: string[] = [];
after(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

describe("git on the host, in a workspace that an agent has had", () => {
  let folder = "";
  let workspace = "";
  let origin = "";
  let marker = "";
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), "guild-host-git-")));
    made.push(folder);
    [workspace, origin, marker] = [join(folder, "work"), join(folder, "origin.git"), join(folder, "marker")];
    git(folder, "init", "-q", "--bare", "-b", "main", origin);
    git(folder, "clone", "-q", origin, join(folder, "seed"));
    writeFileSync(join(folder, "seed/file"), "one\n");
    git(join(folder, "seed"), "add", ".");
    git(join(folder, "seed"), "commit", "-qm", "first");
    git(join(folder, "seed"), "push", "-q", "origin", "HEAD:main");
  });

  const env = { PATH: process.env["PATH"], HOME: tmpdir(), GIT_CONFIG_GLOBAL: "/dev/null" };
  const identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"];
  const git = (directory: string, ...args: string[]): string =>
    execFileSync("git", ["-C", directory, ...identity, ...args], { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const offer = (over: { url?: string; ref?: string; branch?: string } = {}): Offer =>
    create(OfferSchema, {
      taskId: "task_1",
      directory: workspace,
      workspace: { source: { case: "gitUrl", value: over.url ?? origin }, gitRef: over.ref ?? "" },
      resultBranch: over.branch ?? "result",
    });
  const record = { title: "a title" } as SessionRecord;
  const workspaces = managedWorkspaces({ env, withCheckpointer: () => Promise.reject(new GuildError("internal", "not used here")) });
  /** What the agent left, then what Guildhall does on the host: the task's result, and the next task's beginning. */
  const leave = async (plant: () => void): Promise<void> => {
    await workspaces.prepare(offer(), record);
    writeFileSync(join(workspace, "file"), "two\n");
    writeFileSync(join(workspace, "new file"), "new\n");
    plant();
    await workspaces.deliver(offer(), record);
    await workspaces.prepare(offer(), record);
    writeFileSync(join(workspace, "file"), "three\n");
    await workspaces.deliver(offer(), record);
  };
  const program = (): string => {
    const path = join(folder, "evil.sh");
    writeFileSync(path, `#!/bin/sh\ntouch ${marker}\ncat\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const hook = (directory: string, name: string): void => {
    mkdirSync(directory, { recursive: true });
    copyFileSync(program(), join(directory, name));
  };
  const configure = (text: string): void => appendFileSync(join(workspace, ".git/config"), `${text.replaceAll("EVIL", program())}\n`);
  const attributes = (text: string): void => writeFileSync(join(workspace, ".gitattributes"), text);

  const attacks: Record<string, () => void> = {
    "core.fsmonitor": () => configure("[core]\nfsmonitor = EVIL"),
    "core.hooksPath": () => {
      for (const name of [
        "pre-commit",
        "post-commit",
        "pre-push",
        "reference-transaction",
        "post-checkout",
        "prepare-commit-msg",
        "post-index-change",
      ])
        hook(join(folder, "hooks"), name);
      configure(`[core]\nhooksPath = ${folder}/hooks`);
    },
    hooks: () => {
      for (const name of ["pre-commit", "post-commit", "pre-push", "reference-transaction", "post-index-change"])
        hook(join(workspace, ".git/hooks"), name);
    },
    "core.sshCommand": () => configure(`[core]\nsshCommand = EVIL\n[url "ssh://nowhere.invalid/"]\ninsteadOf = ${origin}`),
    "url.insteadOf": () => configure(`[url "ext::EVIL %S"]\ninsteadOf = ${folder}\n[protocol "ext"]\nallow = always`),
    "protocol.ext": () => configure('[protocol]\nallow = always\n[remote "origin"]\npushurl = ext::EVIL\nvcs = evil'),
    "core.gitProxy": () => configure(`[core]\ngitProxy = EVIL\n[url "git://nowhere.invalid/"]\ninsteadOf = ${origin}`),
    "filter.clean": () => {
      configure('[filter "x"]\nclean = EVIL\nsmudge = EVIL\nrequired = true');
      attributes("* filter=x\n");
    },
    "filter.process": () => {
      configure('[filter "x"]\nprocess = EVIL');
      attributes("* filter=x\n");
    },
    "diff.external and textconv": () => {
      configure('[diff]\nexternal = EVIL\n[diff "x"]\ncommand = EVIL\ntextconv = EVIL\n[merge "x"]\ndriver = EVIL');
      attributes("* diff=x merge=x\n");
    },
    "credential.helper": () => configure('[credential]\nhelper = "!EVIL"\n[core]\naskPass = EVIL'),
    "gpg.program": () =>
      configure(
        '[commit]\ngpgSign = true\n[push]\ngpgSign = if-asked\n[gpg]\nprogram = EVIL\n[gpg "ssh"]\nprogram = EVIL\n[user]\nsigningKey = x',
      ),
    "include.path": () => {
      writeFileSync(join(workspace, "more"), `[core]\nfsmonitor = ${program()}\n`);
      configure('[include]\npath = ../more\n[includeIf "gitdir:**"]\npath = ../more');
    },
    "config.worktree": () => {
      configure("[extensions]\nworktreeConfig = true");
      writeFileSync(join(workspace, ".git/config.worktree"), `[core]\nfsmonitor = ${program()}\n`);
    },
    commondir: () => {
      execFileSync("cp", ["-r", join(workspace, ".git"), join(workspace, "mine")]);
      appendFileSync(join(workspace, "mine/config"), `[core]\nfsmonitor = ${program()}\n`);
      writeFileSync(join(workspace, ".git/commondir"), "../mine\n");
    },
    "alternates and core.alternateRefsCommand": () => {
      configure("[core]\nalternateRefsCommand = EVIL");
      mkdirSync(join(workspace, ".git/objects/info"), { recursive: true });
      writeFileSync(join(workspace, ".git/objects/info/alternates"), `${folder}/seed/.git/objects\n`);
    },
    "core.pager, core.editor, sequence.editor, alias": () =>
      configure("[core]\npager = EVIL\neditor = EVIL\n[sequence]\neditor = EVIL\n[alias]\nadd = !EVIL\ncommit = !EVIL\npush = !EVIL"),
    "uploadpack and receivepack of a remote": () =>
      configure('[remote "origin"]\nreceivepack = EVIL\nuploadpack = EVIL\n[uploadpack]\npackObjectsHook = EVIL'),
    "trailers and templates": () => configure('[trailer "x"]\ncommand = EVIL\ncmd = EVIL\nkey = X\n[init]\ntemplateDir = /nowhere'),
    "gc, maintenance and recent objects": () => configure("[gc]\nauto = 1\nrecentObjectsHook = EVIL\n[maintenance]\nauto = true"),
    "a repository within, in the index": () => {
      git(workspace, "init", "-q", "sub");
      git(join(workspace, "sub"), "commit", "-q", "--allow-empty", "-m", "x");
      git(workspace, "add", "sub");
      appendFileSync(join(workspace, "sub/.git/config"), `[core]\nfsmonitor = ${program()}\n[filter "x"]\nclean = ${program()}\n`);
    },
    ".gitmodules": () => {
      writeFileSync(join(workspace, ".gitmodules"), `[submodule "x"]\npath = x\nurl = ext::${program()}\nupdate = !${program()}\n`);
      configure(
        `[submodule]\nrecurse = true\n[submodule "x"]\nactive = true\nurl = ext::EVIL\nupdate = "!EVIL"\n[push]\nrecurseSubmodules = on-demand`,
      );
    },
  };
  const sample = ["core.sshCommand", "url.insteadOf", "filter.clean", "include.path", "a repository within, in the index", ".gitmodules"];
  const full = process.env["GUILD_TEST_FULL"] !== undefined;
  for (const [name, plant] of Object.entries(attacks).filter(([one]) => full || sample.includes(one))) {
    it(`runs nothing because of ${name}, and delivers all the same`, async () => {
      await leave(plant);
      assert.ok(!existsSync(marker), "a program of the repository ran");
      assert.equal(git(origin, "show", "result:file"), "three\n");
      assert.equal(git(origin, "show", "result:new file"), "new\n");
    });
  }

  it("takes no other directory for the worktree (core.worktree)", async () => {
    const other = join(folder, "other");
    mkdirSync(other);
    writeFileSync(join(other, "private"), "private\n");
    await leave(() => configure(`[core]\nworktree = ${other}`));
    assert.equal(git(origin, "ls-tree", "--name-only", "result"), "file\nnew file\n");
  });

  it("follows no .git that leads elsewhere", async () => {
    await workspaces.prepare(offer(), record);
    rmSync(join(workspace, ".git"), { recursive: true });
    writeFileSync(join(workspace, ".git"), `gitdir: ${folder}/seed/.git\n`);
    await assert.rejects(workspaces.deliver(offer(), record), (error) => GuildError.is(error, "failed_precondition"));
    assert.equal(git(join(folder, "seed"), "log", "--format=%s"), "first\n");
  });

  it("takes neither options nor programs for URLs, revisions and branches", async () => {
    writeFileSync(join(folder, "secret"), "canary\n");
    const wrong = [
      { url: `--upload-pack=touch ${marker};:` },
      { url: `ext::sh -c 'touch ${marker}'` },
      { ref: `--pathspec-from-file=${folder}/secret` },
      { ref: `--upload-pack=touch ${marker}` },
      { ref: "a\nb" },
    ];
    for (const over of wrong) {
      await assert.rejects(
        workspaces.prepare(offer(over), record),
        (error) => GuildError.is(error, "failed_precondition") || GuildError.is(error, "invalid_argument"),
      );
      rmSync(workspace, { recursive: true, force: true });
    }
    await workspaces.prepare(offer(), record);
    for (const branch of [`x:refs/heads/main`, "--receive-pack=x", "../x"]) {
      await assert.rejects(workspaces.deliver(offer({ branch }), record), (error) => GuildError.is(error, "invalid_argument"), branch);
    }
    assert.ok(!existsSync(marker));
    assert.equal(readFileSync(join(folder, "secret"), "utf8"), "canary\n");
  });
});
