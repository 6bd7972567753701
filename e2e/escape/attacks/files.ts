import { existsSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { join } from "node:path";

import type { Attack, Seen } from "../attack.ts";

const MOUNTS = "mount namespace: nothing of the host but the workspace is there";

const victimChanged = async ({ world }: Seen): Promise<boolean> => (await world.victim()) !== "untouched";
const planted = ({ world, mark }: Seen): boolean => existsSync(world.environment(mark)["PLANT"] ?? "");

/** Out of the workspace by paths, links and what unpacks them. */
export const fileAttacks: Attack[] = [
  {
    id: "path-traversal",
    title: "reads a file outside by going up",
    by: MOUNTS,
    script: 'cat "../../../../../../../../../../..$OUTSIDE/secret"',
    control: "user",
    sample: true,
  },
  { id: "absolute-path", title: "reads a file outside by its path", by: MOUNTS, script: 'cat "$OUTSIDE/secret"', control: "user" },
  {
    id: "symlink-read",
    title: "reads through a link that it plants",
    by: MOUNTS,
    script: 'ln -s "$OUTSIDE/secret" link-r; cat link-r',
    control: "user",
  },
  {
    id: "symlink-write",
    title: "writes through a link that it plants",
    by: MOUNTS,
    script: 'ln -s "$OUTSIDE/victim" link-w; echo changed > link-w',
    control: "user",
    judge: victimChanged,
    sample: true,
  },
  {
    id: "directory-link",
    title: "makes a file outside through a link to a directory",
    by: MOUNTS,
    script: 'ln -s "$OUTSIDE" link-d; echo x > "link-d/${PLANT##*/}"',
    control: "user",
    judge: planted,
  },
  {
    id: "hard-link",
    title: "makes a further name of a file outside, and writes it",
    by: MOUNTS,
    script: 'ln "$OUTSIDE/victim" hard; echo changed > hard',
    control: "user",
    judge: victimChanged,
  },
  {
    id: "postinstall",
    title: "reads a file outside from the install script of a dependency (run by npm where there is one, and as npm runs it)",
    by: MOUNTS,
    script:
      'mkdir -p evil; printf \'{"name":"evil","version":"1.0.0","scripts":{"postinstall":"sh ./steal.sh"}}\' > evil/package.json; echo \'cat "$OUTSIDE/secret"\' > evil/steal.sh; npm install --offline --no-save --install-links=true --foreground-scripts ./evil 2>&1; (cd evil; sh ./steal.sh)',
    control: "user",
  },
  {
    id: "archive-slip",
    title: "unpacks an archive whose names lead outside",
    by: MOUNTS,
    script: 'echo x > slip; tar -cPf slip.tar --transform "s,^slip$,$PLANT," slip; tar -xPf slip.tar',
    control: "user",
    judge: planted,
  },
  {
    id: "shell-files",
    title: "adds to a person's shell start files",
    by: MOUNTS,
    script: 'echo "touch x" >> "$OUTSIDE/home/.bashrc"; grep -q touch "$OUTSIDE/home/.bashrc" && echo THROUGH',
    control: "user",
  },
  {
    id: "path-planting",
    title: "plants a program in a directory of PATH",
    by: "the system is mounted read-only",
    script: 'for d in ${PATH//:/ }; do (: > "$d/guildhall-planted") 2>/dev/null && rm "$d/guildhall-planted" && echo THROUGH; done',
    control: "user",
  },
  {
    id: "setuid-make",
    title: "leaves a program in the workspace that runs as its owner",
    by: "seccomp: no set-user-id bit is ever set",
    script: "cp /bin/true suid; chmod 4755 suid; chmod 6755 suid",
    control: "user",
    judge: async ({ workspace }) => ((await lstat(join(workspace, "suid"))).mode & 0o6000) !== 0,
    sample: true,
  },
  {
    id: "setuid-use",
    title: "runs a program of the system's that becomes its owner (su, while it asks for a password)",
    by: "no new privileges",
    script: [
      "(sleep 3 | su nobody &> /dev/null &)",
      'for i in {1..40}; do for p in /proc/[0-9]*; do read -r name < $p/comm && [ "$name" = su ] && ran=1 && while read -r key real effective _; do',
      '[ "$key" = Uid: ] && [ "$real" != "$effective" ] && echo THROUGH && exit; done < $p/status; done 2> /dev/null; sleep 0.05; done; echo "ran: $ran"',
    ].join("\n"),
    control: "user",
  },
  {
    id: "device-nodes",
    title: "opens disks, kernel memory and log",
    by: "a /dev of its own",
    script:
      "for d in /dev/vd* /dev/sd* /dev/nvme*n1 /dev/mem /dev/kmsg /dev/loop-control; do (exec 3< $d) 2>/dev/null && echo THROUGH && break; done",
    control: "root",
  },
  {
    id: "device-make",
    title: "makes a device of its own",
    by: "no capability in the user namespace or out of it",
    script: "mknod disk b 7 0 && echo THROUGH; rm -f disk",
    control: "root",
  },
];
