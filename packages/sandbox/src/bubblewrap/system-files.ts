import { chmod, cp, lstat, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Home directory inside: a private tmpfs. */
export const HOME = "/home/agent";
export const USER_NAME = "agent";

/** What programs of a Debian-like or Fedora-like /usr look for in /etc and what holds no secret. */
const copied = [
  "alternatives",
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
  "ssl/certs",
  "ssl/openssl.cnf",
  "terminfo",
  "timezone",
  "xml",
];

/** Versioned configuration of interpreters: `java-17-openjdk`, `python3.11`. */
const copiedPrefixes = ["java-", "python"];

/**
 * Makes the /etc of sandboxes that run as `uid`: what programs need, and nothing else of the host's. Readable by everyone.
 * Returns its path; the caller removes it.
 */
export async function makeSystemFiles(stateDir: string, ids: { uid: number; gid: number }): Promise<string> {
  await mkdir(stateDir, { recursive: true });
  await removeLeftOver(stateDir);
  const etc = await mkdtemp(join(stateDir, `${PREFIX}${process.pid}-`));
  const names = (await readdir("/etc")).filter((name) => copiedPrefixes.some((prefix) => name.startsWith(prefix)));
  for (const name of [...copied, ...names]) await copyReadable(name, etc);
  const files: Record<string, string> = {
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
  for (const [name, content] of Object.entries(files)) await writeFile(join(etc, name), content, { mode: 0o644 });
  await chmodAll(etc);
  return etc;
}

const PREFIX = "etc-";

/** Removes what a process that no longer lives has left. */
async function removeLeftOver(stateDir: string): Promise<void> {
  for (const name of await readdir(stateDir)) {
    const pid = /^etc-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(stateDir, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function copyReadable(name: string, etc: string): Promise<void> {
  const from = join("/etc", name);
  const found = await lstat(from).catch(() => undefined); // most systems lack some of these
  if (found === undefined) return;
  await cp(from, join(etc, name), {
    recursive: true,
    verbatimSymlinks: true,
    filter: async (source) => {
      const one = await lstat(source);
      return one.isSymbolicLink() || one.isDirectory() || (one.isFile() && (one.mode & 0o004) !== 0);
    },
  });
}

async function chmodAll(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await chmodAll(join(directory, entry.name));
    else if (entry.isFile()) await chmod(join(directory, entry.name), 0o644);
  }
}
