import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

import { systemArguments } from "../bubblewrap/arguments.ts";
import { mountedSystemFiles } from "../bubblewrap/system-files.ts";

export interface ContainerSpec {
  name: string;
  command?: string[];
  restartPolicy?: string;
  resources?: { limits?: { cpu?: string | number } };
  securityContext?: { runAsUser?: number; runAsGroup?: number };
  volumeMounts?: Array<{ name: string; mountPath: string; subPath?: string; readOnly?: boolean }>;
}

export interface PodSpec {
  activeDeadlineSeconds?: number;
  initContainers?: ContainerSpec[];
  containers: ContainerSpec[];
  securityContext?: { runAsUser?: number; runAsGroup?: number };
  volumes?: Array<{
    name: string;
    emptyDir?: { medium?: string; sizeLimit?: string };
    persistentVolumeClaim?: { claimName: string };
  }>;
}

/** Where things of a fake node are. */
export interface Node {
  /** For volumes of pods; anybody may enter it. */
  directory: string;
  /** Directory of each volume claim. */
  claims: Record<string, string>;
  /** What every image holds beside the machine's programs. */
  image: ReadonlyArray<{ source: string; at: string }>;
  /** Prepared /etc. */
  systemFiles: string;
  /** Whether pods have this machine's network. */
  network(): boolean;
}

const STEP_MS = 50;

/** Runs the containers of one pod as bubblewrap processes of this machine: a pod's namespaces, mounts and users without its cgroups. */
export class FakePodRuntime {
  readonly #node: Node;
  readonly #spec: PodSpec;
  readonly #directory: string;
  readonly #running = new Set<ChildProcess>();
  readonly #throttles = new Set<NodeJS.Timeout>();

  constructor(node: Node, name: string, spec: PodSpec) {
    this.#node = node;
    this.#spec = spec;
    this.#directory = join(node.directory, name);
    for (const { name: volume, emptyDir } of spec.volumes ?? []) {
      if (emptyDir === undefined) continue;
      mkdirSync(join(this.#directory, volume), { recursive: true });
      chmodSync(join(this.#directory, volume), 0o777);
    }
  }

  /** A process with the container's mounts and user; the container's own unless `command` is another. */
  start(container: ContainerSpec, command = container.command ?? []): ChildProcess {
    const uid = container.securityContext?.runAsUser ?? this.#spec.securityContext?.runAsUser ?? 65534;
    const gid = container.securityContext?.runAsGroup ?? this.#spec.securityContext?.runAsGroup ?? 65534;
    const drop = process.geteuid?.() === 0 ? ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups"] : [];
    const [program = "", ...args] = [...drop, "bwrap", ...this.#arguments(container, { uid, gid }), "--", ...command];
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], cwd: "/", detached: true });
    child.on("error", () => undefined); // its exit is seen
    child.stdin.on("error", () => undefined); // it may have ended
    this.#running.add(child);
    child.once("exit", () => this.#running.delete(child));
    return child;
  }

  /** Keeps a container's share of CPUs by stopping it for the rest of each period, since there is no cgroup of ours. */
  throttle(container: ContainerSpec, child: ChildProcess): void {
    const cpu = container.resources?.limits?.cpu;
    if (cpu === undefined) return;
    const share = String(cpu).endsWith("m") ? Number.parseInt(String(cpu), 10) / 1000 : Number(cpu);
    if (share >= 1) return;
    let turn = 0;
    const timer = setInterval(() => {
      turn += 1;
      signalAll(child, turn % 2 === 0 ? "SIGSTOP" : "SIGCONT");
    }, STEP_MS);
    this.#throttles.add(timer);
    child.once("exit", () => {
      clearInterval(timer);
      this.#throttles.delete(timer);
    });
  }

  /** Ends everything of the pod; resolves when no process is left. */
  async kill(): Promise<void> {
    for (const timer of this.#throttles) clearInterval(timer);
    await Promise.all(
      [...this.#running].map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const exited = once(child, "exit");
        endOf(child);
        await exited;
      }),
    );
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #arguments(container: ContainerSpec, ids: { uid: number; gid: number }): string[] {
    const volumes = this.#spec.volumes ?? [];
    const uses = (name: string): number =>
      [...(this.#spec.initContainers ?? []), ...this.#spec.containers]
        .flatMap(({ volumeMounts = [] }) => volumeMounts)
        .filter((mount) => mount.name === name).length;
    const mounts = (container.volumeMounts ?? []).toSorted((a, b) => a.mountPath.length - b.mountPath.length);
    const mountArguments = mounts.flatMap(({ name, mountPath, subPath = "", readOnly }) => {
      const volume = volumes.find((one) => one.name === name);
      const bind = readOnly === true ? "--ro-bind" : "--bind";
      const claim = volume?.persistentVolumeClaim?.claimName;
      if (claim !== undefined) return [bind, join(this.#node.claims[claim] ?? "/nonexistent", subPath), mountPath];
      const size = volume?.emptyDir?.medium === "Memory" && uses(name) === 1 ? volume.emptyDir.sizeLimit : undefined;
      if (size === undefined) return [bind, join(this.#directory, name), mountPath];
      return ["--perms", "1777", "--size", String(Number.parseInt(size, 10) * 2 ** 20), "--tmpfs", mountPath];
    });
    return [
      ["--unshare-all", "--unshare-user", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv", "--as-pid-1"],
      this.#node.network() ? ["--share-net"] : [],
      ["--hostname", "guildhall", "--uid", String(ids.uid), "--gid", String(ids.gid), "--setenv", "PATH", "/usr/bin:/bin"],
      systemArguments(),
      ["--ro-bind", this.#node.systemFiles, "/etc"],
      mountedSystemFiles().flatMap((name) => ["--ro-bind", `/etc/${name}`, `/etc/${name}`]),
      ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"],
      this.#node.image.flatMap(({ source, at }) => ["--ro-bind", source, at]),
      mountArguments,
      ["--remount-ro", "/", "--chdir", "/"],
    ].flat();
  }
}

/** Ends the first process of its namespace: the kernel ends the others, and bubblewrap itself ends when all are gone. */
function endOf(child: ChildProcess): void {
  const first = innerOf(child);
  if (first === undefined) child.kill("SIGKILL");
  else
    try {
      process.kill(first, "SIGKILL");
    } catch {
      child.kill("SIGKILL"); // has ended meanwhile
    }
}

/** The process that bubblewrap started. */
function innerOf({ pid }: ChildProcess): number | undefined {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    return first ? Number(first) : undefined;
  } catch {
    return undefined; // has ended
  }
}

/** To all processes in the namespace of the container. */
function signalAll(child: ChildProcess, signal: NodeJS.Signals): void {
  const inner = innerOf(child);
  const space = inner === undefined ? undefined : namespaceOf(inner);
  if (space === undefined || space === namespaceOf(process.pid)) return;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name) || namespaceOf(Number(name)) !== space) continue;
    try {
      process.kill(Number(name), signal);
    } catch {
      continue; // has ended
    }
  }
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(join(dirname(`/proc/${pid}/stat`), "ns/pid"));
  } catch {
    return undefined; // has ended, or is not ours to see
  }
}
