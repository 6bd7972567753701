import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** Home directory inside: a private tmpfs. */
export const HOME = "/home/agent";
export const USER_NAME = "agent";

/** What programs of a Debian-like or Fedora-like /usr look for in /etc and what holds no secret. */
const copied = [
  "ca-certificates",
  "ca-certificates.conf",
  "crypto-policies",
  "debian_version",
  "ethertypes",
  "fonts",
  "inputrc",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "magic",
  "mime.types",
  "os-release",
  "perl",
  "pki/ca-trust",
  "pki/tls/certs",
  "profile.d/bash_completion.sh",
  "protocols",
  "rpc",
  "services",
  "ssl/openssl.cnf",
  "terminfo",
  "timezone",
  "xml",
];

/** Hundreds of files each: mounted instead. */
const mounted = ["alternatives", "ssl/certs"];

/** Versioned configuration of interpreters: `java-17-openjdk`, `python3.11`. */
const copiedPrefixes = ["java-", "python"];

/**
 * Makes the /etc of sandboxes that run as `ids`: what programs need, and nothing else of the host's. Readable by everyone. Kept in
 * `stateDir` under a name that changes with what it is made of, so that later processes find it. Returns its path.
 */
export function makeSystemFiles(stateDir: string, ids: { uid: number; gid: number }): string {
  mkdirSync(stateDir, { recursive: true });
  const names = [...copied, ...readdirSync("/etc").filter((name) => copiedPrefixes.some((prefix) => name.startsWith(prefix)))];
  const files = writtenFiles(ids);
  const etc = join(stateDir, `etc-${fingerprint(names, files)}`);
  if (existsSync(etc)) return etc;
  const work = mkdtempSync(join(stateDir, ".etc-"));
  try {
    for (const name of names) copyReadable(join("/etc", name), join(work, name));
    for (const name of mountedSystemFiles()) mkdirSync(join(work, name), { recursive: true, mode: 0o755 });
    for (const [name, content] of Object.entries(files)) writeFileSync(join(work, name), content, { mode: 0o644 });
    chmodSync(work, 0o755);
    renameSync(work, etc);
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    if (!existsSync(etc)) throw error; // else another process was faster
  }
  return etc;
}

/** Directories of the host's /etc that are mounted in their place over what `makeSystemFiles` makes; relative to /etc. */
export function mountedSystemFiles(): string[] {
  return mounted.filter((name) => lstatSync(join("/etc", name), { throwIfNoEntry: false })?.isDirectory() === true);
}

function fingerprint(names: readonly string[], files: Record<string, string>): string {
  const hash = createHash("sha256").update(JSON.stringify([files, mountedSystemFiles()]));
  for (const name of names) {
    const found = lstatSync(join("/etc", name), { throwIfNoEntry: false });
    if (found !== undefined) hash.update(`${name} ${found.size} ${found.mtimeMs} ${found.ino}\n`);
  }
  return hash.digest("hex").slice(0, 16);
}

/** Copies what every user of the host may read. */
function copyReadable(from: string, to: string): void {
  const found = lstatSync(from, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isDirectory() && (found.mode & 0o005) === 0o005) {
    mkdirSync(to, { recursive: true, mode: 0o755 });
    for (const name of readdirSync(from)) copyReadable(join(from, name), join(to, name));
    return;
  }
  if (!found.isSymbolicLink() && !(found.isFile() && (found.mode & 0o004) !== 0)) return;
  mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
  if (found.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else {
    copyFileSync(from, to);
    chmodSync(to, 0o644);
  }
}

function writtenFiles(ids: { uid: number; gid: number }): Record<string, string> {
  return {
    passwd: `root:x:0:0:root:/root:/bin/sh\n${USER_NAME}:x:${ids.uid}:${ids.gid}:Agent:${HOME}:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n`,
    group: `root:x:0:\n${USER_NAME}:x:${ids.gid}:\nnogroup:x:65534:\n`,
    hosts: "127.0.0.1 localhost guildhall\n::1 localhost guildhall\n",
    hostname: "guildhall\n",
    "host.conf": "multi on\n",
    "resolv.conf": "# no network\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n",
    // The sandbox's git trusts the workspace whoever owns it: who may reach it was decided outside.
    gitconfig: `[safe]\n\tdirectory = *\n[user]\n\tname = Guildhall agent\n\temail = agent@guildhall.invalid\n[init]\n\tdefaultBranch = main\n`,
    profile: "umask 022\n",
    shells: "/bin/sh\n/bin/bash\n",
  };
}
