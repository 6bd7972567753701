import { existsSync } from "node:fs";

import type { Attack, Seen } from "../attack.ts";

const GUARD = "what git runs or obeys is mounted read-only";
const marked = ({ world, mark }: Seen): boolean => existsSync(world.environment(mark)["MARKER"] ?? "");

const plant = (id: string, title: string, script: string, afterwards: string, more: Partial<Attack> = {}): Attack => ({
  id,
  title,
  by: GUARD,
  script: `evil="touch $MARKER"; ${script}; true`,
  control: "user",
  repository: true,
  afterwards,
  judge: marked,
  ...more,
});

/** Leaves something in a repository that a person's git runs later. */
export const repositoryAttacks: Attack[] = [
  plant(
    "git-hook",
    "a hook",
    'printf "#!/bin/sh\\n$evil\\n" > .git/hooks/post-checkout; chmod +x .git/hooks/post-checkout',
    "git checkout -q -b other",
  ),
  plant(
    "git-hooks-path",
    "a directory of hooks by configuration",
    'mkdir h; printf "#!/bin/sh\\n$evil\\n" > h/post-checkout; chmod +x h/post-checkout; git config core.hooksPath h',
    "git checkout -q -b other",
  ),
  plant("git-fsmonitor", "a program that git status runs", 'git config core.fsmonitor "$evil; :"', "git status", { sample: true }),
  plant(
    "git-ssh",
    "a program that git fetch runs",
    'git config core.sshCommand "$evil; :"; git config remote.origin.url ssh://nowhere.invalid/x',
    "git fetch origin",
  ),
  plant(
    "git-filter",
    "a filter that git add runs",
    "git config filter.x.clean \"$evil; cat\"; echo '* filter=x' > .gitattributes; echo 1 > f",
    "git add f",
  ),
  plant(
    "git-include",
    "configuration in a file that it may write",
    'printf "[core]\\n\\tfsmonitor = \\"$evil; :\\"\\n" > more; git config include.path ../more',
    "git status",
  ),
  plant("git-replaced", "another .git in its place", 'mv .git old; cp -r old .git; git config core.fsmonitor "$evil; :"', "git status"),
  plant(
    "git-file",
    "a .git file that leads to a repository of its own",
    'cp -r .git mine; git --git-dir=mine config core.fsmonitor "$evil; :"; rm -rf .git; echo "gitdir: mine" > .git',
    "git status",
  ),
  plant(
    "git-common",
    "a common directory of its own",
    'cp -r .git mine; git --git-dir=mine config core.fsmonitor "$evil; :"; rm -f .git/commondir; echo ../mine > .git/commondir',
    "git status",
  ),
  plant(
    "git-worktree-config",
    "configuration of the worktree",
    'git config extensions.worktreeConfig true; printf "[core]\\n\\tfsmonitor = \\"$evil; :\\"\\n" > .git/config.worktree',
    "git status",
  ),
  plant("git-alias", "an alias", 'git config alias.st "!$evil"', "git st"),
  plant(
    "git-submodule-update",
    "a program by which a submodule is updated",
    'git init -q x; cd x; git commit -q --allow-empty -m x; cd ..; git config submodule.x.update "!$evil; :"; git config submodule.x.url ./x; ' +
      "git config -f .gitmodules submodule.x.path x; git config -f .gitmodules submodule.x.url ./x; git add x .gitmodules; " +
      "cd x; git commit -q --allow-empty -m y",
    "git submodule update x",
  ),
  plant(
    "git-submodule",
    "a submodule's own repository below .git, which git status looks into",
    'git init -q --separate-git-dir .git/modules/x x; cd x; git commit -q --allow-empty -m x; git config core.fsmonitor "$evil; :"; cd ..; ' +
      "git config -f .gitmodules submodule.x.path x; git config -f .gitmodules submodule.x.url ./x; git add x .gitmodules",
    "git status",
    { by: "what such a repository would run is put aside after the step that wrote it, at the latest when the sandbox ends" },
  ),
  plant(
    "git-nested",
    "a repository within, which git status looks into",
    'git init -q sub; cd sub; git commit -q --allow-empty -m x; git config core.fsmonitor "$evil; :"; cd ..; git add sub',
    "git status",
    { by: "what such a repository would run is put aside after the step that wrote it, at the latest when the sandbox ends" },
  ),
];
