import { GuildError, type ToolSession } from "@guildhall/core";

import { startChromium } from "./chromium.ts";
import { Devtools, type DevtoolsEvent, record, text } from "./devtools.ts";
import { Tab } from "./tab.ts";

/** A file that a page wanted to be kept. */
export interface Download {
  name: string;
  url: string;
  /** Within the sandbox. */
  file: string;
  state: "under way" | "done" | "cancelled";
  bytes: number;
}

const MOST_TABS = 20;
/** Of one download; what is larger is cancelled. */
const MOST_DOWNLOAD = 256 * 1024 * 1024;

/** A session's browser: started when it is first needed, started anew when it has ended, and ended with the session. One call at a time. */
export class KeptBrowser {
  readonly #session: ToolSession;
  #running: Running | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #lost: string | undefined;

  constructor(session: ToolSession) {
    this.#session = session;
  }

  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(work, work);
    // The caller hears of a failure; the next call does not depend on it.
    this.#queue = run.catch(() => undefined);
    return run;
  }

  /** Why the browser before this one ended; told once. */
  takeLoss(): string | undefined {
    const lost = this.#lost;
    this.#lost = undefined;
    return lost;
  }

  get running(): Running | undefined {
    return this.#running;
  }

  held(): string | undefined {
    return this.#running === undefined ? undefined : "a browser";
  }

  async open(): Promise<Running> {
    if (this.#running !== undefined) return this.#running;
    const { execution, folder } = await startChromium(this.#session.sandbox);
    const running = new Running((hear) => new Devtools(execution, hear), folder);
    this.#running = running;
    running.devtools.ended.then(
      (why) => {
        if (this.#running !== running) return;
        this.#running = undefined;
        this.#lost = why;
      },
      () => undefined, // never rejects: it resolves with the reason
    );
    await running.prepare();
    return running;
  }

  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    // One that does not answer is ended with its streams, below.
    const asked = running.devtools.send("Browser.close", {}, "", AbortSignal.timeout(CLOSE_MS)).catch(() => undefined);
    await asked;
    await running.end();
    await this.#session.sandbox.files.remove(running.folder, { recursive: true }).catch((error: unknown) => {
      // Gone with its sandbox.
      if (!GuildError.is(error)) throw error;
    });
  }
}

const CLOSE_MS = 2_000;

/** One process of the browser with its pages. */
export class Running {
  readonly devtools: Devtools;
  readonly folder: string;
  readonly tabs: Tab[] = [];
  readonly downloads: Download[] = [];
  current: Tab | undefined;
  readonly #attaching = new Set<Promise<void>>();
  readonly #byGuid = new Map<string, Download>();

  constructor(connect: (hear: (event: DevtoolsEvent) => void) => Devtools, folder: string) {
    this.folder = folder;
    this.devtools = connect((event) => this.#hear(event));
  }

  async prepare(): Promise<void> {
    const downloadPath = `${this.folder}/downloads`;
    await this.devtools.send("Browser.setDownloadBehavior", { behavior: "allowAndName", downloadPath, eventsEnabled: true });
    await this.devtools.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: true });
    await this.settled();
    if (this.current === undefined) await this.newTab();
  }

  /** Every page that has appeared can be spoken to. */
  async settled(): Promise<void> {
    while (this.#attaching.size > 0) await Promise.all(this.#attaching);
  }

  async newTab(): Promise<Tab> {
    if (this.tabs.length >= MOST_TABS)
      throw new GuildError("resource_exhausted", `more than ${MOST_TABS} tabs are open`, { remedy: "close some" });
    const { targetId } = await this.devtools.send("Target.createTarget", { url: "about:blank" });
    await this.settled();
    const tab = this.tabs.find(({ target }) => target === targetId);
    if (tab === undefined) throw new GuildError("failed_precondition", "the browser opened no tab");
    return (this.current = tab);
  }

  async closeTab(tab: Tab): Promise<void> {
    await this.devtools.send("Target.closeTarget", { targetId: tab.target });
    this.#forget(tab.target);
  }

  async end(): Promise<void> {
    await this.devtools.end();
  }

  #hear(event: DevtoolsEvent): void {
    const { method, params, session } = event;
    switch (method) {
      case "Target.attachedToTarget": {
        const info = record(params["targetInfo"]);
        if (text(info["type"]) !== "page") return;
        const attaching = this.#attach(text(info["targetId"]), text(params["sessionId"]));
        this.#attaching.add(attaching);
        const forget = (): void => void this.#attaching.delete(attaching);
        attaching.then(forget, forget);
        return;
      }
      case "Target.detachedFromTarget": {
        const tab = this.tabs.find((one) => one.session === params["sessionId"]);
        if (tab !== undefined) this.#forget(tab.target);
        return;
      }
      case "Target.targetCrashed":
        this.tabs.find((one) => one.target === params["targetId"])?.hear({ method: "Inspector.targetCrashed", params, session });
        return;
      case "Browser.downloadWillBegin":
        this.#downloadBegins(params);
        return;
      case "Browser.downloadProgress":
        this.#downloadGoesOn(params);
        return;
      default:
        this.tabs.find((one) => one.session === session)?.hear(event);
    }
  }

  async #attach(target: string, session: string): Promise<void> {
    const tab = new Tab(this.devtools, target, session);
    this.tabs.push(tab);
    if (this.tabs.length > MOST_TABS) {
      await this.closeTab(tab);
      return;
    }
    try {
      await tab.prepare();
      this.current = tab;
    } catch (error) {
      // Closed before it was there.
      this.#forget(target);
      if (!GuildError.is(error)) throw error;
    }
  }

  #forget(target: string): void {
    const place = this.tabs.findIndex((one) => one.target === target);
    if (place === -1) return;
    const [tab] = this.tabs.splice(place, 1);
    if (tab !== undefined) tab.changes.notify();
    if (this.current === tab) this.current = this.tabs[Math.min(place, this.tabs.length - 1)];
  }

  #downloadBegins(params: Record<string, unknown>): void {
    const guid = text(params["guid"]);
    // It becomes part of a path in the sandbox.
    if (!/^[\w-]{1,64}$/.test(guid)) return;
    const name = text(params["suggestedFilename"]).slice(0, 200);
    const download: Download = {
      name,
      url: text(params["url"]).slice(0, 500),
      file: `${this.folder}/downloads/${guid}`,
      state: "under way",
      bytes: 0,
    };
    this.downloads.push(download);
    this.#byGuid.set(guid, download);
    this.current?.notes.push(`a download began: ${JSON.stringify(name)}`);
  }

  #downloadGoesOn(params: Record<string, unknown>): void {
    const guid = text(params["guid"]);
    const download = this.#byGuid.get(guid);
    if (download === undefined) return;
    download.bytes = Number(params["receivedBytes"] ?? 0);
    const state = text(params["state"]);
    if (state !== "inProgress") download.state = state === "completed" ? "done" : "cancelled";
    else if (download.bytes > MOST_DOWNLOAD) this.devtools.send("Browser.cancelDownload", { guid }).catch(() => undefined); // it has ended by itself
    this.current?.changes.notify();
  }
}
