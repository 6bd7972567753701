import type { SandboxLimits } from "@guildhall/core";
import type { IPod } from "kubernetes-models/v1";

import { HOME } from "../bubblewrap/system-files.ts";
import { WAY_OUT_MOUNT } from "../network/way-out.ts";
import { TOOLKIT_MOUNT } from "../toolkit.ts";

/** What holds for every pod of ours: the chart's network policy selects it. */
export const SANDBOX_LABEL = "app.guildhall.sandbox";
/** Whose sandboxes they are: a mark of the state directory. */
export const STATE_LABEL = "app.guildhall.state";

/** Directory that the init and its way in share; nobody else's files are in it. */
const LINK_MOUNT = "/run/guildhall-connect";
/** What the way in runs as: another user than what runs inside. */
const LINK_USER = 10_002;

/** Names of the containers. */
const SANDBOX_CONTAINER = "sandbox";
export const LINK_CONTAINER = "link";

/** Command of the exec that is the way in: bytes between the worker and the init, which finds the socket when it looks for it. */
export const LINK_COMMAND = [`${TOOLKIT_MOUNT}/bin/socat`, "-b", "262144", "STDIO", `UNIX-LISTEN:${LINK_MOUNT}/init,umask=0000`];

export interface PodPlan {
  name: string;
  labels: Record<string, string>;
  /** Pod that goes away with all its sandboxes: the worker's own, where it is known. */
  owner: { name: string; uid: string } | undefined;
  ids: { uid: number; gid: number };
  /** Image with our toolkit at `toolkit`: the worker's own. */
  toolkitImage: string;
  toolkit: string;
  /** Image whose system the sandbox has. */
  image: string;
  limits: SandboxLimits & { memoryBytes: number };
  claim: string;
  /** What of the claim stands where, parents first; paths relative to the claim. */
  workspace: Array<{ subPath: string; at: string; readOnly: boolean }>;
  wayOut: boolean;
  deadlineSeconds: number;
  /** How long the init waits for its way in, milliseconds. */
  patienceMs: number;
}

/**
 * What the API server is asked for, in the types of the published OpenAPI: no root, no privilege, no capability, a read-only root, no token, no name service, a user namespace, limits, and a
 * deadline. The toolkit is copied in by a first container; `link` is the worker's way in, whose processes what runs inside cannot see, and the init,
 * process 1 of `sandbox`, connects to it and puts our system call filter on itself, on top of the runtime's.
 */
export function podRequest(plan: PodPlan): IPod {
  const { ids, limits } = plan;
  const half = `${Math.max(1, Math.floor(limits.memoryBytes / 2 ** 21))}Mi`;
  const memory = (sizeLimit: string) => ({ medium: "Memory", sizeLimit });
  const privatePlaces = ["tmp", "var-tmp", "home", "shm", ...(plan.wayOut ? ["network"] : [])];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: plan.name,
      labels: plan.labels,
      ...(plan.owner === undefined ? {} : { ownerReferences: [{ apiVersion: "v1", kind: "Pod", ...plan.owner }] }),
    },
    spec: {
      restartPolicy: "Never",
      activeDeadlineSeconds: plan.deadlineSeconds,
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      hostUsers: false,
      dnsPolicy: "None",
      dnsConfig: { nameservers: ["127.0.0.1"] },
      hostname: "guildhall",
      securityContext: {
        runAsNonRoot: true,
        runAsUser: ids.uid,
        runAsGroup: ids.gid,
        seccompProfile: { type: "RuntimeDefault" },
      },
      initContainers: [
        {
          name: "toolkit",
          image: plan.toolkitImage,
          command: ["cp", "-R", `${plan.toolkit}/.`, "/toolkit"],
          resources: small("64Mi"),
          securityContext: confined,
          volumeMounts: [{ name: "toolkit", mountPath: "/toolkit" }],
        },
        {
          name: LINK_CONTAINER,
          image: plan.toolkitImage,
          command: ["sleep", "infinity"],
          restartPolicy: "Always", // a sidecar: it ends with the sandbox
          resources: small("64Mi"),
          securityContext: { ...confined, runAsUser: LINK_USER, runAsGroup: LINK_USER },
          volumeMounts: [
            { name: "toolkit", mountPath: TOOLKIT_MOUNT, readOnly: true },
            { name: "link", mountPath: LINK_MOUNT },
          ],
        },
      ],
      containers: [
        {
          name: SANDBOX_CONTAINER,
          image: plan.image,
          command: initCommand(plan.patienceMs),
          workingDir: "/",
          resources: {
            limits: {
              memory: String(limits.memoryBytes),
              ...(limits.cpus === undefined ? {} : { cpu: `${Math.ceil(limits.cpus * 1000)}m` }),
            },
            requests: { memory: String(Math.min(limits.memoryBytes, 256 * 2 ** 20)), cpu: "100m" },
          },
          securityContext: confined,
          volumeMounts: [
            { name: "toolkit", mountPath: TOOLKIT_MOUNT, readOnly: true },
            { name: "link", mountPath: LINK_MOUNT, readOnly: true },
            { name: "tmp", mountPath: "/tmp" },
            { name: "var-tmp", mountPath: "/var/tmp" },
            { name: "home", mountPath: HOME },
            { name: "shm", mountPath: "/dev/shm" },
            ...(plan.wayOut ? [{ name: "network", mountPath: WAY_OUT_MOUNT }] : []),
            ...plan.workspace.map(({ subPath, at, readOnly }) => ({
              name: "workspaces",
              mountPath: at,
              ...(subPath === "" ? {} : { subPath }),
              ...(readOnly ? { readOnly } : {}),
            })),
          ],
        },
      ],
      volumes: [
        { name: "toolkit", emptyDir: {} },
        { name: "link", emptyDir: memory("1Mi") },
        ...privatePlaces.map((name) => ({ name, emptyDir: memory(half) })),
        { name: "workspaces", persistentVolumeClaim: { claimName: plan.claim } },
      ],
    },
  };
}

function initCommand(patienceMs: number): string[] {
  const connect = ["--connect", `${LINK_MOUNT}/init`, "--patience-ms", String(patienceMs)];
  return [`${TOOLKIT_MOUNT}/init`, ...connect, "--await", "1", "--seccomp", `${TOOLKIT_MOUNT}/seccomp.bpf`];
}

const confined = {
  allowPrivilegeEscalation: false,
  privileged: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

function small(memory: string) {
  return { limits: { memory, cpu: "500m" }, requests: { memory, cpu: "10m" } };
}
