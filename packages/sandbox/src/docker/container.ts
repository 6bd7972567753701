import { existsSync, lstatSync } from "node:fs";

import type { SandboxLimits } from "@guildhall/core";

import { systemDirectories, SYSTEM_BUNDLE } from "../bubblewrap/arguments.ts";
import { HOME, mountedSystemFiles } from "../bubblewrap/system-files.ts";
import { BUNDLE_FILE, WAY_OUT_MOUNT } from "../network/way-out.ts";
import { TOOLKIT_MOUNT } from "../toolkit.ts";
import type { SandboxImage } from "./image.ts";
import type { VolumeMount } from "./volumes.ts";

/** Where the init of a container finds the socket at which it reports. */
const CONNECT_MOUNT = "/run/guildhall-connect";

/** Processes of the sandbox's own making (the init, a keeper), on top of what it may have. */
const OVERHEAD_PROCESSES = 2;

export interface ContainerPlan {
  image: SandboxImage;
  ids: { uid: number; gid: number };
  labels: Record<string, string>;
  limits: SandboxLimits & { memoryBytes: number; processes: number };
  /** The engine can limit swap too. */
  swapLimit: boolean;
  /** Empty: the engine's default. */
  runtime: string;
  toolkit: string;
  /** Prepared /etc, for an image without one. */
  systemFiles: string;
  connectDirectory: string;
  wayOut: string | undefined;
  /** File for /etc/hosts, where others run beside it. */
  hosts: string | undefined;
  /** What it has together with its services. */
  volumes: readonly VolumeMount[];
  /** Mounted read-only. */
  toolchain: ReadonlyArray<{ source: string; at: string }>;
  /** What the engine mounts of the workspace, parents first; empty where it is mounted afterwards. */
  workspace: Array<{ source: string; at: string; readOnly: boolean }>;
}

interface EngineMount {
  Type: "bind";
  Source: string;
  Target: string;
  ReadOnly: boolean;
  BindOptions: { Propagation: "rprivate"; NonRecursive: boolean };
}

/**
 * What the engine is asked for: no network, no capability, a read-only root, an unprivileged user, the init as process 1, limits by cgroups. The init
 * puts our system call filter on itself, so that it is the same under every engine; the engine's own stays in force as well.
 */
export function containerRequest(plan: ContainerPlan): Record<string, unknown> {
  const { limits, ids } = plan;
  const size = Math.max(2 ** 20, Math.floor(limits.memoryBytes / 2));
  const privateFiles = `rw,exec,nosuid,nodev,size=${size}`;
  return {
    Image: plan.image.name,
    User: `${ids.uid}:${ids.gid}`,
    Hostname: "guildhall",
    WorkingDir: "/",
    Entrypoint: [
      `${TOOLKIT_MOUNT}/init`,
      "--connect",
      `${CONNECT_MOUNT}/init`,
      "--await",
      "1",
      "--seccomp",
      `${TOOLKIT_MOUNT}/seccomp.bpf`,
    ],
    Cmd: [],
    Labels: plan.labels,
    NetworkDisabled: true,
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      AutoRemove: true,
      NetworkMode: "none",
      IpcMode: "private",
      CgroupnsMode: "private",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      ...(plan.runtime === "" ? {} : { Runtime: plan.runtime }),
      Init: false,
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "none" },
      Memory: limits.memoryBytes,
      ...(plan.swapLimit ? { MemorySwap: limits.memoryBytes } : {}),
      PidsLimit: limits.processes + OVERHEAD_PROCESSES,
      ...(limits.cpus === undefined ? {} : { NanoCpus: Math.round(limits.cpus * 1e9) }),
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
      ShmSize: size,
      Tmpfs: {
        "/tmp": `${privateFiles},mode=1777`,
        [HOME]: `${privateFiles},mode=0700,uid=${ids.uid},gid=${ids.gid}`,
        ...(plan.image.bare ? {} : { "/var/tmp": `${privateFiles},mode=1777` }),
      },
      MaskedPaths: masked,
      Mounts: [
        ...(plan.image.bare ? systemMounts(plan.systemFiles) : [bind(`${plan.systemFiles}/gitconfig`, "/etc/gitconfig")]),
        bind(plan.toolkit, TOOLKIT_MOUNT),
        bind(plan.connectDirectory, CONNECT_MOUNT),
        ...(plan.wayOut === undefined ? [] : wayOutMounts(plan.wayOut, plan.image.bare)),
        ...(plan.hosts === undefined ? [] : [bind(plan.hosts, "/etc/hosts")]),
        ...plan.volumes,
        ...plan.toolchain.map(({ source, at }) => bind(source, at)),
        // A mount within what is read-only would not be: it is left out.
        ...plan.workspace.map(({ source, at, readOnly }) => bind(source, at, { readOnly, alone: readOnly })),
      ],
    },
  };
}

/** What Docker hides by itself, and all of /sys: nothing in there is a sandbox's business. */
const masked = [
  ..."asound acpi kcore keys latency_stats timer_list timer_stats sched_debug scsi".split(" ").map((name) => `/proc/${name}`),
  "/sys",
];

function bind(source: string, target: string, { readOnly, alone } = { readOnly: true, alone: false }): EngineMount {
  return {
    Type: "bind",
    Source: source,
    Target: target,
    ReadOnly: readOnly,
    BindOptions: { Propagation: "rprivate", NonRecursive: alone },
  };
}

/** This machine's programs in an image that has none. */
function systemMounts(systemFiles: string): EngineMount[] {
  const own = systemDirectories.filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true);
  return [
    ...["/usr", ...own, ...(existsSync("/nix/store") ? ["/nix/store"] : [])].map((path) => bind(path, path)),
    bind(systemFiles, "/etc"),
    ...mountedSystemFiles().map((name) => bind(`/etc/${name}`, `/etc/${name}`)),
  ];
}

function wayOutMounts(wayOut: string, bare: boolean): EngineMount[] {
  const bundle = !bare || lstatSync(SYSTEM_BUNDLE, { throwIfNoEntry: false })?.isFile() === true;
  return [bind(wayOut, WAY_OUT_MOUNT), ...(bundle ? [bind(`${wayOut}/${BUNDLE_FILE}`, SYSTEM_BUNDLE)] : [])];
}
