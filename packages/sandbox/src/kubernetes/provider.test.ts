import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";

import { eventually, failsWith, runScript, sandboxContract } from "@guildhall/core/testing";

import { CLOSED, type KubernetesFixture, kubernetesFixture } from "../testing/kubernetes-fixture.ts";
import { openings } from "./isolation.ts";
import { SANDBOX_LABEL } from "./pod.ts";
import { KubernetesProvider } from "./provider.ts";

const run = promisify(execFile);

// The init is the other providers' own: what is a pod's own is shown in any run, all of it in a full one.
const whole = process.env["GUILD_TEST_FULL"] !== undefined;
sandboxContract("kubernetes, over a fake", kubernetesFixture, { isolated: true, ...(whole ? {} : { shell: false }) });

describe("kubernetes sandboxes", () => {
  let own: KubernetesFixture;
  before(async () => {
    own = await kubernetesFixture();
  });
  after(() => own.close());
  let count = 0;
  const id = (): string => `pod-${process.pid}-${++count}`;
  const another = (options: object): KubernetesProvider =>
    new KubernetesProvider({ stateDir: join(own.base, "state"), kubernetes: { ...own.options, ...options } });

  it("ask for a pod without root, privilege, token, network and name service, with limits and a deadline", async () => {
    const sandbox = await own.provider.create({
      id: id(),
      workspace: await own.newWorkspace(),
      limits: { cpus: 1.5, memoryBytes: 512 * 2 ** 20 },
    });
    await sandbox.dispose();
    const { spec } = own.fake.requests.at(-1) as { spec: Record<string, unknown> & { containers: Array<Record<string, unknown>> } };
    const { hostUsers, automountServiceAccountToken, enableServiceLinks, dnsPolicy, activeDeadlineSeconds, restartPolicy } = spec;
    assert.deepEqual(
      { hostUsers, automountServiceAccountToken, enableServiceLinks, dnsPolicy, activeDeadlineSeconds, restartPolicy },
      {
        hostUsers: false,
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        dnsPolicy: "None",
        activeDeadlineSeconds: 86_400,
        restartPolicy: "Never",
      },
    );
    assert.partialDeepStrictEqual(spec["securityContext"], { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    for (const container of [...spec.containers, ...(spec["initContainers"] as typeof spec.containers)]) {
      assert.partialDeepStrictEqual(container["securityContext"], {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      assert.ok(JSON.stringify(container["resources"]).includes("limits"));
    }
    assert.partialDeepStrictEqual(spec.containers[0]?.["resources"], { limits: { cpu: "1500m", memory: String(512 * 2 ** 20) } });
    assert.deepEqual(own.fake.pods, []);
  });

  it("carry megabytes both ways, and keep the repository's configuration and hooks", async () => {
    const workspace = await own.newWorkspace();
    await run("git", ["init", "-q", workspace]);
    const sandbox = await own.provider.create({ id: id(), workspace });
    const large = Buffer.alloc(5_000_001, "large");
    await sandbox.files.write("/tmp/large", large);
    assert.ok(Buffer.from(await sandbox.files.read("/tmp/large")).equals(large));
    await runScript(sandbox, "git config core.fsmonitor evil; echo x > .git/hooks/post-checkout; mv .git g; true");
    await sandbox.dispose();
    assert.doesNotMatch(await readFile(join(workspace, ".git/config"), "utf8"), /evil/);
    assert.ok(!(await readdir(join(workspace, ".git/hooks"))).includes("post-checkout"));
  });

  it("reach the worker's proxy through the connection to their init, many at once", async () => {
    const directory = join(own.base, "way-out");
    await mkdir(directory);
    for (const name of ["ca.pem", "bundle.pem"]) await writeFile(join(directory, name), "authority\n");
    const proxy = createServer((message, response) => response.end(`asked for ${message.url}\n${"x".repeat(300_000)}\n`));
    proxy.listen({ path: join(directory, "proxy") });
    await once(proxy, "listening");
    try {
      const sandbox = await own.provider.create({ id: id(), workspace: await own.newWorkspace(), wayOut: { directory } });
      assert.equal(sandbox.wayOut?.port, 3128);
      const script =
        'ask() { exec 3<>/dev/tcp/127.0.0.1/3128; printf "GET http://api.example.com/$1 HTTP/1.0\\r\\n\\r\\n" >&3; wc -c <&3; }; ' +
        'for i in {1..20}; do (ask $i) & done; wait; cat "$SSL_CERT_FILE"; echo $https_proxy';
      const { stdout, stderr } = await runScript(sandbox, script);
      const lines = stdout.trim().split("\n");
      assert.deepEqual(lines.slice(-2), ["authority", "http://127.0.0.1:3128"], stderr);
      assert.equal(lines.filter((line) => Number(line) > 300_000).length, 20, stdout.slice(0, 500));
      await sandbox.dispose();
    } finally {
      proxy.close();
    }
  });

  it("refuse a namespace whose policies leave a network, and a cluster that enforces none", async () => {
    const workspace = await own.newWorkspace();
    own.fake.policies = [];
    await assert.rejects(own.provider.create({ id: id(), workspace }), /no NetworkPolicy closes the egress of sandboxes/);
    own.fake.policies = [CLOSED];
    own.fake.enforcing = false;
    const fresh = another({});
    await assert.rejects(fresh.create({ id: id(), workspace }), /does not enforce NetworkPolicy: a sandbox reached the API server/);
    own.fake.enforcing = true;
    const sandbox = await fresh.create({ id: id(), workspace });
    await fresh.close();
    assert.equal(await sandbox.gone, "disposed");
    assert.deepEqual(own.fake.pods, []);
  });

  it("say what keeps a pod from starting: rights, image, volume, server", async () => {
    const workspace = await own.newWorkspace();
    own.fake.denied.add("create pods/exec");
    const report = await own.provider.probe();
    assert.match(JSON.stringify(report), /this worker may not create pods\/exec in test/);
    own.fake.denied.clear();
    assert.equal((await own.provider.probe()).usable, true);
    own.fake.denied.add("POST pods");
    await assert.rejects(own.provider.create({ id: id(), workspace }), failsWith("permission_denied"));
    own.fake.denied.clear();
    own.fake.unpullable.set("no/such:image", "manifest unknown");
    await assert.rejects(another({ image: "no/such:image" }).create({ id: id(), workspace }), /sandbox: ErrImagePull manifest unknown/);
    await assert.rejects(another({ image: "" }).create({ id: id(), workspace }), failsWith("invalid_argument"));
    await assert.rejects(own.provider.create({ id: id(), workspace: tmpdir() }), failsWith("unsupported"));
    await assert.rejects(another({ api: "http://127.0.0.1:9" }).create({ id: id(), workspace }), failsWith("unavailable"));
    assert.deepEqual(own.fake.pods, []);
  });

  it("end when the connection breaks, when their deadline has passed and when somebody deletes them", async () => {
    const workspace = await own.newWorkspace();
    const cut = await own.provider.create({ id: id(), workspace });
    own.fake.cut();
    await cut.gone;
    const late = await own.provider.create({ id: id(), workspace });
    await own.fake.expire(own.fake.pods[0]?.metadata.name ?? "");
    assert.match(await late.gone, /DeadlineExceeded|connection/);
    await eventually(async () => (own.fake.pods.length === 0 ? true : undefined));
  });

  it("remove what a killed worker has left, once it has ended", async () => {
    const workspace = await own.newWorkspace();
    const left = { ...(own.fake.requests.at(-1) as { metadata: { labels: Record<string, string> } }) };
    const { labels } = left.metadata;
    const request = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "left", labels },
      spec: { containers: [{ name: "sandbox", image: "x", command: ["true"] }] },
    };
    const headers = { authorization: "Bearer a-token" };
    await fetch(`${own.fake.url}/api/v1/namespaces/test/pods`, { method: "POST", headers, body: JSON.stringify(request) });
    await eventually(async () => (own.fake.pods[0]?.status?.phase === "Succeeded" ? true : undefined));
    const next = another({});
    await (await next.create({ id: id(), workspace })).dispose();
    await eventually(async () => (own.fake.pods.length === 0 ? true : undefined));
  });

  it("are refused by the server where the request breaks the published schema", async () => {
    const headers = { authorization: "Bearer a-token" };
    const body = JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "bad" }, spec: { containers: [{ image: "x" }] } });
    const answer = await fetch(`${own.fake.url}/api/v1/namespaces/test/pods`, { method: "POST", headers, body });
    assert.equal(answer.status, 422);
  });
});

describe("network policies of a namespace", () => {
  const labels = { [SANDBOX_LABEL]: "one" };
  const policy = (spec: object) => ({ metadata: { name: "p" }, spec: { podSelector: {}, ...spec } });

  it("close sandboxes only when both directions are chosen and nothing opens one again", () => {
    assert.equal(openings([CLOSED], labels), undefined);
    assert.match(openings([policy({ policyTypes: ["Egress"] })], labels) ?? "", /ingress/);
    assert.match(openings([CLOSED, policy({ policyTypes: ["Egress"], egress: [{}] })], labels) ?? "", /p opens the egress/);
    const others = policy({ podSelector: { matchLabels: { app: "other" } }, policyTypes: ["Egress"], egress: [{}] });
    assert.equal(openings([CLOSED, others], labels), undefined);
    const not = policy({ podSelector: { matchExpressions: [{ key: SANDBOX_LABEL, operator: "DoesNotExist" }] }, egress: [{}] });
    assert.equal(openings([CLOSED, not], labels), undefined);
  });
});
