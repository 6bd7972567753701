import { GuildError } from "@guildhall/core";

import { ChangeSignal } from "../bash/change-signal.ts";
import { type Devtools, type DevtoolsEvent, list, record, text } from "./devtools.ts";
import { type OutlineNode, readTree, renderOutline } from "./outline.ts";

/** One request of a page, for the log that the agent can read. */
export interface LoggedRequest {
  method: string;
  url: string;
  type: string;
  /** Status, or why there is none; empty: under way. */
  outcome: string;
}

const MOST_LOGGED = 300;
/** Requests that a page may keep open for ever. */
const ENDLESS = new Set(["WebSocket", "EventSource", "Ping", "Media", "Prefetch"]);

/** A page of the browser: what it tells of itself, and its elements by references that hold as long as they do. */
export class Tab {
  readonly target: string;
  readonly session: string;
  readonly console: string[] = [];
  readonly requests: LoggedRequest[] = [];
  /** What happened since the last look: dialogs, a crash. */
  readonly notes: string[] = [];
  crashed = false;
  url = "about:blank";
  title = "";
  /** Document under way; its first event names it. */
  loading = false;
  /** What the next dialogs get. */
  answer: { accept: boolean; text: string } | undefined;
  readonly changes = new ChangeSignal();
  readonly #devtools: Devtools;
  readonly #byId = new Map<string, LoggedRequest>();
  readonly #open = new Set<string>();
  #references = new Map<number, string>();
  #elements = new Map<string, number>();
  #count = 0;
  #mainFrame = "";

  constructor(devtools: Devtools, target: string, session: string) {
    this.#devtools = devtools;
    this.target = target;
    this.session = session;
  }

  send(method: string, params: Record<string, unknown> = {}, signal?: AbortSignal): Promise<Record<string, unknown>> {
    if (this.crashed) throw new GuildError("failed_precondition", "this page has crashed", { remedy: "open it again" });
    return this.#devtools.send(method, params, this.session, signal);
  }

  async prepare(): Promise<void> {
    await Promise.all(["Page", "Runtime", "Network", "Log", "DOM", "Accessibility"].map((domain) => this.send(`${domain}.enable`)));
    const tree = record(record(await this.send("Page.getFrameTree"))["frameTree"]);
    this.#mainFrame = text(record(tree["frame"])["id"]);
  }

  /** Nothing is loaded or asked for any more, but for what pages keep open; or the time is up. True: quiet. */
  async settle(ms: number, signal: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + ms;
    for (;;) {
      const busy = this.loading || this.#open.size > 0;
      const left = deadline - performance.now();
      if (left <= 0 || this.crashed) return !busy;
      const why = await this.changes.wait(busy ? left : Math.min(left, QUIET_MS), signal);
      if (why !== "changed" && !busy) return true;
      signal.throwIfAborted();
    }
  }

  /** The page as an outline with references. */
  async outline(signal: AbortSignal): Promise<string> {
    const { frameTree } = await this.send("Page.getFrameTree", {}, signal);
    const root = await this.#frame(record(frameTree), signal, { left: 20 });
    return root === undefined ? "" : renderOutline(root, (backendId) => this.#refer(backendId));
  }

  async #frame(tree: Record<string, unknown>, signal: AbortSignal, budget: { left: number }): Promise<OutlineNode | undefined> {
    const frameId = text(record(tree["frame"])["id"]);
    const inner = new Map<number, OutlineNode>();
    for (const child of list(tree["childFrames"])) {
      if ((budget.left -= 1) < 0) break;
      const id = text(record(record(child)["frame"])["id"]);
      try {
        const [owner, outline] = await Promise.all([
          this.send("DOM.getFrameOwner", { frameId: id }, signal),
          this.#frame(record(child), signal, budget),
        ]);
        if (outline !== undefined) inner.set(Number(owner["backendNodeId"] ?? 0), outline);
      } catch (error) {
        // A frame that went away meanwhile is not shown.
        if (!GuildError.is(error, "failed_precondition")) throw error;
      }
    }
    const { nodes } = await this.send("Accessibility.getFullAXTree", { frameId }, signal);
    return readTree(list(nodes), inner);
  }

  #refer(backendId: number): string {
    const known = this.#references.get(backendId);
    if (known !== undefined) return known;
    const made = `e${(this.#count += 1)}`;
    this.#references.set(backendId, made);
    this.#elements.set(made, backendId);
    return made;
  }

  /** An element by its reference or a CSS selector, as the browser calls it. Throws `not_found`. */
  async element(reference: string, signal: AbortSignal): Promise<string> {
    if (/^e\d+$/.test(reference)) {
      const backendNodeId = this.#elements.get(reference);
      const missing = new GuildError("not_found", `${reference} is not on this page`, { remedy: "take a snapshot and use what it names" });
      if (backendNodeId === undefined) throw missing;
      const { object } = await this.send("DOM.resolveNode", { backendNodeId }, signal).catch((error: unknown) => {
        throw GuildError.is(error, "failed_precondition") ? missing : error;
      });
      return text(record(object)["objectId"]);
    }
    const expression = `document.querySelector(${JSON.stringify(reference)})`;
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression }, signal);
    const objectId = text(record(result)["objectId"]);
    if (exceptionDetails !== undefined || objectId === "") {
      throw new GuildError("not_found", `nothing on this page is ${JSON.stringify(reference.slice(0, 100))}`, {
        remedy: "give a reference of the snapshot, or a CSS selector",
      });
    }
    return objectId;
  }

  /** What the page tells of itself. Never throws. */
  hear({ method, params }: DevtoolsEvent): void {
    switch (method) {
      case "Page.frameStartedLoading":
        if (params["frameId"] === this.#mainFrame) this.loading = true;
        break;
      case "Page.frameStoppedLoading":
        if (params["frameId"] === this.#mainFrame) this.loading = false;
        break;
      case "Page.frameNavigated": {
        const frame = record(params["frame"]);
        if (frame["parentId"] !== undefined) break;
        this.#mainFrame = text(frame["id"]);
        this.url = text(frame["url"]) + text(frame["urlFragment"]);
        this.#references = new Map();
        this.#elements = new Map();
        break;
      }
      case "Page.navigatedWithinDocument":
        if (params["frameId"] === this.#mainFrame) this.url = text(params["url"]);
        break;
      case "Runtime.consoleAPICalled":
        this.#log(`${text(params["type"])}: ${list(params["args"]).map(worded).join(" ")}`);
        break;
      case "Runtime.exceptionThrown": {
        const details = record(params["exceptionDetails"]);
        this.#log(`exception: ${text(record(details["exception"])["description"]) || text(details["text"])}`);
        break;
      }
      case "Log.entryAdded": {
        const entry = record(params["entry"]);
        this.#log(`${text(entry["level"])}: ${text(entry["text"])} ${text(entry["url"])}`);
        break;
      }
      case "Network.requestWillBeSent":
        this.#requested(params);
        break;
      case "Network.responseReceived": {
        const request = this.#byId.get(text(params["requestId"]));
        const response = record(params["response"]);
        if (request !== undefined) request.outcome = `${String(response["status"])} ${text(response["mimeType"])}`;
        break;
      }
      case "Network.loadingFailed": {
        const request = this.#byId.get(text(params["requestId"]));
        if (request !== undefined) request.outcome = text(params["errorText"]) || "failed";
        this.#open.delete(text(params["requestId"]));
        break;
      }
      case "Network.loadingFinished":
        this.#open.delete(text(params["requestId"]));
        break;
      case "Page.javascriptDialogOpening":
        this.#dialog(params);
        break;
      case "Inspector.targetCrashed":
        this.crashed = true;
        this.notes.push("the page has crashed; open it again");
        break;
      default:
        return;
    }
    this.changes.notify();
  }

  /** The words of the notes, which are told once. */
  takeNotes(): string[] {
    return this.notes.splice(0);
  }

  #requested(params: Record<string, unknown>): void {
    const id = text(params["requestId"]);
    const request = record(params["request"]);
    const type = text(params["type"]);
    const before = this.#byId.get(id);
    if (before !== undefined) before.outcome = `${Number(record(params["redirectResponse"])["status"])} redirected`;
    const logged = { method: text(request["method"]), url: text(request["url"]).slice(0, 500), type, outcome: "" };
    this.requests.push(logged);
    this.#byId.set(id, logged);
    if (this.requests.length > MOST_LOGGED) this.requests.shift();
    if (this.#byId.size > 2 * MOST_LOGGED) this.#byId.delete(this.#byId.keys().next().value ?? "");
    if (!ENDLESS.has(type)) this.#open.add(id);
  }

  #log(line: string): void {
    this.console.push(line.slice(0, 1_000));
    if (this.console.length > MOST_LOGGED) this.console.shift();
  }

  /** Nobody is there to press its buttons: a page must not wait for one for ever. */
  #dialog(params: Record<string, unknown>): void {
    const type = text(params["type"]);
    const accept = this.answer?.accept ?? (type === "alert" || type === "beforeunload");
    this.notes.push(`${type} ${JSON.stringify(text(params["message"]).slice(0, 500))} was ${accept ? "accepted" : "dismissed"}`);
    // A page that is gone needs no answer.
    this.send("Page.handleJavaScriptDialog", { accept, promptText: this.answer?.text ?? "" }).catch(() => undefined);
  }
}

/** How long nothing may happen before a page counts as quiet, milliseconds. */
const QUIET_MS = 100;

function worded(value: unknown): string {
  const object = record(value);
  const plain = object["value"];
  if (typeof plain === "string" || typeof plain === "number" || typeof plain === "boolean") return String(plain);
  return text(object["description"]) || (plain === undefined ? text(object["type"]) : JSON.stringify(plain));
}
