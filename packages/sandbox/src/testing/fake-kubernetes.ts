import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";

import { Pod as PodModel } from "kubernetes-models/v1";
import { type WebSocket, WebSocketServer } from "ws";

import type { NetworkPolicyObject } from "../kubernetes/isolation.ts";
import type { PodObject } from "../kubernetes/pod-life.ts";
import { FakePodRuntime, type Node, type PodSpec } from "./fake-kubelet.ts";

interface FakePod {
  object: PodObject & { spec: PodSpec };
  runtime: FakePodRuntime;
  deleting: Promise<void> | undefined;
}

type Statuses = NonNullable<NonNullable<PodObject["status"]>["containerStatuses"]>;

/**
 * A Kubernetes API server and node for tests: takes what the published OpenAPI takes (a request that breaks the schema is answered with 422, as a real
 * one does), and really runs the pods' containers, in bubblewrap. It has no cgroups and no images: every image is this machine's programs.
 */
export class FakeKubernetes {
  /** What its network policies are; pods have a network as long as none closes it, or `enforcing` is false. */
  policies: NetworkPolicyObject[] = [];
  enforcing = true;
  /** `verb resource` that the caller may not. */
  readonly denied = new Set<string>();
  /** Said instead of starting a container with this image. */
  readonly unpullable = new Map<string, string>();
  /** Every body that came with POST, in order. */
  readonly requests: unknown[] = [];
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, handleProtocols: chosenProtocol });
  readonly #node: Node;
  readonly #token: string;
  readonly #pods = new Map<string, FakePod>();
  readonly #events: Array<{ type: string; object: PodObject }> = [];
  readonly #watchers = new Set<() => void>();
  #version = 0;

  private constructor(node: Omit<Node, "network">, token: string) {
    this.#node = { ...node, network: () => !this.enforcing };
    this.#token = token;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => send(response, 500, status(500, String(error))));
    });
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  static async start(node: Omit<Node, "network">, token: string): Promise<FakeKubernetes> {
    const fake = new FakeKubernetes(node, token);
    fake.#server.listen(0, "127.0.0.1");
    await once(fake.#server, "listening");
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get pods(): PodObject[] {
    return [...this.#pods.values()].map(({ object }) => object);
  }

  /** Cuts every connection, as a restart of the API server does; pods stay. */
  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
  }

  /** What a node does when the deadline of a pod has passed. */
  async expire(name: string): Promise<void> {
    const pod = this.#pods.get(name);
    if (pod !== undefined) pod.object = { ...pod.object, status: { ...pod.object.status, reason: "DeadlineExceeded" } };
    await pod?.runtime.kill();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pods.keys()].map((name) => this.#delete(name)));
    this.cut();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    const path = url.pathname;
    if (request.headers.authorization !== `Bearer ${this.#token}`) return send(response, 401, status(401, "Unauthorized"));
    const raw = await text(request);
    const body = raw === "" ? undefined : (JSON.parse(raw) as Record<string, unknown>);
    if (path === "/version") return send(response, 200, { gitVersion: "v1.33.0-fake" });
    if (path.endsWith("/selfsubjectaccessreviews")) {
      const { spec } = body as { spec: { resourceAttributes: Record<string, string> } };
      const { verb, resource, subresource } = spec.resourceAttributes;
      const what = `${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`;
      return send(response, 201, { ...body, status: { allowed: !this.denied.has(what) } });
    }
    if (path.endsWith("/namespaces/test/networkpolicies")) return send(response, 200, { kind: "NetworkPolicyList", items: this.policies });
    const name = /^\/api\/v1\/namespaces\/test\/pods(?:\/([^/]+))?$/.exec(path);
    if (name === null) return send(response, 404, status(404, `the server could not find the requested resource ${path}`));
    if (this.denied.has(`${request.method} pods`)) return send(response, 403, status(403, "pods is forbidden"));
    if (name[1] === undefined) {
      if (request.method === "POST") return this.#create(body as unknown as FakePod["object"], response);
      if (url.searchParams.get("watch") === "true") return this.#watch(url, response);
      const [key = "", value] = (url.searchParams.get("labelSelector") ?? "").split("=");
      return send(response, 200, { kind: "PodList", items: this.pods.filter(({ metadata }) => metadata.labels?.[key] === value) });
    }
    const pod = this.#pods.get(name[1]);
    if (pod === undefined) return send(response, 404, status(404, `pods "${name[1]}" not found`));
    if (request.method === "DELETE") this.#delete(name[1]).catch(() => undefined); // its caller watches
    send(response, 200, pod.object);
  }

  #create(object: FakePod["object"], response: ServerResponse): void {
    this.requests.push(object);
    try {
      new PodModel(object as unknown as ConstructorParameters<typeof PodModel>[0]).validate();
    } catch (error) {
      return send(response, 422, status(422, `Pod is invalid: ${(error as Error).message}`));
    }
    const { name } = object.metadata;
    if (this.#pods.has(name)) return send(response, 409, status(409, `pods "${name}" already exists`));
    const pod: FakePod = { object, runtime: new FakePodRuntime(this.#node, name, object.spec), deleting: undefined };
    this.#pods.set(name, pod);
    this.#changed(pod, "ADDED", { phase: "Pending" });
    this.#run(pod).catch((error: unknown) => this.#changed(pod, "MODIFIED", { phase: "Failed", message: String(error) }));
    send(response, 201, pod.object);
  }

  async #run(pod: FakePod): Promise<void> {
    const { spec } = pod.object;
    const first: Statuses = [];
    for (const container of spec.initContainers ?? []) {
      const child = pod.runtime.start(container);
      first.push({ name: container.name, state: { running: {} } });
      this.#changed(pod, "MODIFIED", { phase: "Pending", initContainerStatuses: first });
      if (container.restartPolicy === "Always") continue;
      const [code] = (await once(child, "exit")) as [number | null];
      first[first.length - 1] = { name: container.name, state: { terminated: { exitCode: code ?? 137 } } };
      if (code !== 0) return this.#changed(pod, "MODIFIED", { phase: "Failed", initContainerStatuses: first });
    }
    const [container] = spec.containers;
    if (container === undefined || pod.deleting !== undefined) return;
    const unpullable = this.unpullable.get((container as { image?: string }).image ?? "");
    if (unpullable !== undefined) {
      const waiting = { reason: "ErrImagePull", message: unpullable };
      return this.#changed(pod, "MODIFIED", {
        phase: "Pending",
        initContainerStatuses: first,
        containerStatuses: [{ name: container.name, state: { waiting } }],
      });
    }
    const child = pod.runtime.start(container);
    pod.runtime.throttle(container, child);
    let complaint = "";
    child.stderr?.on("data", (bytes: Buffer) => (complaint += bytes.toString("utf8").slice(0, 1000)));
    child.stdout?.resume();
    this.#changed(pod, "MODIFIED", {
      phase: "Running",
      initContainerStatuses: first,
      containerStatuses: [{ name: container.name, state: { running: {} } }],
    });
    const deadline = setTimeout(() => void this.expire(pod.object.metadata.name), (spec.activeDeadlineSeconds ?? 1e6) * 1000);
    const [code] = (await once(child, "exit")) as [number | null];
    clearTimeout(deadline);
    await pod.runtime.kill(); // sidecars end with it
    const { reason } = pod.object.status ?? {};
    this.#changed(pod, "MODIFIED", {
      phase: code === 0 ? "Succeeded" : "Failed",
      ...(reason === undefined ? {} : { reason }),
      containerStatuses: [{ name: container.name, state: { terminated: { exitCode: code ?? 137, message: complaint } } }],
    });
  }

  #delete(name: string): Promise<void> {
    const pod = this.#pods.get(name);
    if (pod === undefined) return Promise.resolve();
    return (pod.deleting ??= (async () => {
      await pod.runtime.remove();
      this.#pods.delete(name);
      this.#changed(pod, "DELETED", pod.object.status ?? {});
    })());
  }

  #changed(pod: FakePod, type: string, now: NonNullable<PodObject["status"]>): void {
    const { metadata } = pod.object;
    pod.object = { ...pod.object, metadata: { ...metadata, resourceVersion: String(++this.#version) }, status: structuredClone(now) };
    this.#events.push({ type, object: pod.object });
    for (const watcher of this.#watchers) watcher();
  }

  #watch(url: URL, response: ServerResponse): void {
    const wanted = (url.searchParams.get("fieldSelector") ?? "").replace("metadata.name=", "");
    let at = Number(url.searchParams.get("resourceVersion") ?? 0);
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    const tell = (): void => {
      for (const event of this.#events.slice(at)) if (event.object.metadata.name === wanted) response.write(`${JSON.stringify(event)}\n`);
      at = this.#events.length;
    };
    this.#watchers.add(tell);
    response.on("close", () => this.#watchers.delete(tell));
    tell();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const url = new URL(request.url ?? "/", this.url);
    const name = /^\/api\/v1\/namespaces\/test\/pods\/([^/]+)\/exec$/.exec(url.pathname)?.[1] ?? "";
    const pod = this.#pods.get(name);
    const { spec } = pod?.object ?? { spec: undefined };
    const wanted = url.searchParams.get("container");
    const container = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].find((one) => one.name === wanted);
    const allowed = request.headers.authorization === `Bearer ${this.#token}` && !this.denied.has("exec pods");
    if (pod === undefined || container === undefined || !allowed) {
      socket.end(`HTTP/1.1 ${allowed ? "404 Not Found" : "403 Forbidden"}\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const child = pod.runtime.start(container, url.searchParams.getAll("command"));
    this.#sockets.handleUpgrade(request, socket, head, (client) => serveExec(client, child));
  }
}

/** The remote command protocol, version 5: the first byte of a message names its channel. */
function serveExec(client: WebSocket, child: ReturnType<FakePodRuntime["start"]>): void {
  for (const [channel, stream] of [
    [1, child.stdout],
    [2, child.stderr],
  ] as const) {
    stream?.on("data", (bytes: Buffer) => {
      client.send(Buffer.concat([Buffer.from([channel]), bytes]), () => {
        if (client.bufferedAmount < 2 ** 20) stream.resume();
      });
      if (client.bufferedAmount >= 2 ** 20) stream.pause();
    });
  }
  client.on("message", (message: Buffer) => {
    if (message[0] === 255) child.stdin?.end();
    else if (message[0] === 0 && child.stdin?.write(message.subarray(1)) === false) {
      client.pause();
      child.stdin.once("drain", () => client.resume());
    }
  });
  // A node leaves the command running when its caller has gone: it sees the end of its input.
  client.on("close", () => child.stdin?.end());
  client.on("error", () => undefined); // the close follows
  child.once("close", (code: number | null) => {
    const outcome = code === 0 ? { status: "Success" } : { status: "Failure", message: `command terminated with exit code ${code ?? 137}` };
    client.send(Buffer.concat([Buffer.from([3]), Buffer.from(JSON.stringify({ kind: "Status", apiVersion: "v1", ...outcome }))]));
    client.close(1000);
  });
}

function chosenProtocol(offered: Set<string>): string | false {
  return offered.has("v5.channel.k8s.io") && "v5.channel.k8s.io";
}

function status(code: number, message: string): unknown {
  return { kind: "Status", apiVersion: "v1", status: "Failure", message, code };
}

function send(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
