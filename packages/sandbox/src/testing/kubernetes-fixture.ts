import { execFile } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { SandboxFixture } from "@guildhall/core/testing";

import { makeSystemFiles } from "../bubblewrap/system-files.ts";
import { SANDBOX_LABEL } from "../kubernetes/pod.ts";
import { KubernetesProvider } from "../kubernetes/provider.ts";
import type { KubernetesOptions } from "../provider-options.ts";
import { sandboxUser } from "../sandbox-user.ts";
import { defaultToolkitDir } from "../toolkit.ts";
import { FakeKubernetes } from "./fake-kubernetes.ts";

const run = promisify(execFile);

/** What the chart installs. */
export const CLOSED = {
  metadata: { name: "guild-sandboxes" },
  spec: {
    podSelector: { matchExpressions: [{ key: SANDBOX_LABEL, operator: "Exists" }] },
    policyTypes: ["Ingress", "Egress"],
    ingress: [],
    egress: [],
  },
};

export interface KubernetesFixture extends SandboxFixture {
  fake: FakeKubernetes;
  /** Of the provider. */
  options: KubernetesOptions;
  base: string;
}

/** A provider with a cluster of its own, and a volume for its workspaces. */
export async function kubernetesFixture(): Promise<KubernetesFixture> {
  await run(fileURLToPath(new URL("../../native/build.sh", import.meta.url)));
  const base = await mkdtemp(join(tmpdir(), "guildhall-kubernetes-"));
  await chmod(base, 0o755);
  const ids = sandboxUser();
  const [node, volume, toolkit, credentials] = [join(base, "node"), join(base, "volume"), join(base, "toolkit"), join(base, "account")];
  for (const path of [node, volume, credentials]) await mkdir(path);
  // The pods' users may not be let in to where the toolkit was built.
  await run("cp", ["-R", join(defaultToolkitDir(), "toolkit"), toolkit]);
  for (const [name, content] of [
    ["token", "a-token\n"],
    ["namespace", "test"],
  ] as const) {
    await writeFile(join(credentials, name), content);
  }
  const image = [{ source: toolkit, at: join(defaultToolkitDir(), "toolkit") }];
  const systemFiles = makeSystemFiles(join(base, "etc"), ids);
  const fake = await FakeKubernetes.start({ directory: node, claims: { workspaces: volume }, image, systemFiles }, "a-token");
  fake.policies = [CLOSED];
  const options = { api: fake.url, credentials, image: "registry.example/guildhall:1", volume: `workspaces:${volume}` };
  const provider = new KubernetesProvider({ stateDir: join(base, "state"), kubernetes: options });
  return {
    base,
    fake,
    options,
    provider,
    newWorkspace: async () => {
      const workspace = await mkdtemp(join(volume, "workspace-"));
      await chown(workspace, ids.uid, ids.gid);
      return workspace;
    },
    close: async () => {
      await provider.close();
      await fake.close();
      await rm(base, { recursive: true, force: true });
    },
  };
}
