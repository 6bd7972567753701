import { GuildError, type CapabilityReport } from "@guildhall/core";

import type { KubernetesOptions } from "../provider-options.ts";
import { findToolkit, TOOLKIT_REMEDY } from "../toolkit.ts";
import { KubernetesApi } from "./api.ts";
import { requireClosed } from "./isolation.ts";
import { SANDBOX_LABEL } from "./pod.ts";
import { sharedVolume } from "./volume.ts";

type Capability = CapabilityReport["capabilities"][number];

/** Rights that a worker needs in its namespace. */
const rights = [
  { verb: "create", resource: "pods" },
  { verb: "get", resource: "pods" },
  { verb: "watch", resource: "pods" },
  { verb: "delete", resource: "pods" },
  { verb: "get", resource: "pods", subresource: "exec" },
  { verb: "create", resource: "pods", subresource: "exec" },
  { verb: "list", group: "networking.k8s.io", resource: "networkpolicies" },
];

/** What sandboxes as pods need and have here. */
export async function probeKubernetes(options: KubernetesOptions, toolkitDir: string | undefined): Promise<CapabilityReport> {
  const toolkit = await attempt("toolkit", TOOLKIT_REMEDY, async () => findToolkit(toolkitDir).directory);
  const image = await attempt("kubernetes-image", "", async () => requireImage(options));
  const volume = await attempt("kubernetes-volume", "", async () => sharedVolume(options.volume ?? "").claim);
  let api: KubernetesApi | undefined;
  const server = await attempt("kubernetes-api", "", async () => {
    api = new KubernetesApi(options);
    if (!options.api && Object.keys((await api.access()).headers).length === 0) {
      throw new GuildError("failed_precondition", "this is not a pod of a cluster, and no API server is named", {
        remedy: "set sandbox.kubernetes_api (`kubectl proxy` serves it at http://127.0.0.1:8001)",
      });
    }
    const { gitVersion } = (await api.call("GET", "/version")) as { gitVersion?: string };
    return `${gitVersion ?? "unknown version"} at ${api.server.origin}, namespace ${await api.namespace()}`;
  });
  const needed = [toolkit, image, volume, server];
  if (api !== undefined && server.available) {
    const known = api;
    needed.push(await attempt("kubernetes-rights", "", () => requireRights(known)));
    const closed = attempt("network-policy", "", async () => {
      await requireClosed(known, { [SANDBOX_LABEL]: "probe" });
      return "closes both directions; whether it is enforced is tried in the first sandbox";
    });
    needed.push(await closed);
  }
  const byCluster: Capability[] = ["cgroup-memory", "cgroup-cpu"].map((name) => ({
    name,
    available: server.available,
    detail: "by the cluster's nodes",
  }));
  return { provider: "kubernetes", usable: needed.every((one) => one.available), capabilities: [...needed, ...byCluster] };
}

/** Throws `invalid_argument`. */
export function requireImage({ image, toolkitImage }: KubernetesOptions): string {
  const name = toolkitImage || image;
  if (name) return name;
  throw new GuildError("invalid_argument", "no image for sandboxes is named", {
    subject: "sandbox.kubernetes_image",
    remedy: "set it to the image that this worker runs (deploy/Dockerfile): the toolkit comes from there",
  });
}

async function requireRights(api: KubernetesApi): Promise<string> {
  const namespace = await api.namespace();
  for (const right of rights) {
    const review = (await api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: { namespace, ...right } },
    })) as { status?: { allowed?: boolean } };
    if (review.status?.allowed === true) continue;
    const what = right.subresource === undefined ? right.resource : `${right.resource}/${right.subresource}`;
    throw new GuildError("permission_denied", `this worker may not ${right.verb} ${what} in ${namespace}`, {
      subject: what,
      remedy: "give its service account the role of deploy/chart/templates/sandboxes.yaml (sandboxes.kind=kubernetes)",
    });
  }
  return `pods and pods/exec in ${namespace}`;
}

async function attempt(name: string, remedy: string, look: () => Promise<string>): Promise<Capability> {
  try {
    return { name, available: true, detail: await look() };
  } catch (error) {
    const own = GuildError.from(error);
    return { name, available: false, detail: own.message, remedy: own.remedy ?? remedy };
  }
}
