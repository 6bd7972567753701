import { GuildError, type ToolContext, type ToolResult } from "@guildhall/core";

import { boundText } from "../bounded-text.ts";
import { storedOutputPath } from "../output/stored-output.ts";
import { isLoopback, policyRemedy, webAddress } from "../web/address.ts";
import { recordText } from "../web/untrusted.ts";
import { workspacePath } from "../workspace-path.ts";
import type { BrowserInput } from "./browser-input.ts";
import { list, record, text } from "./devtools.ts";
import { click, evaluate, hover, press, select, type } from "./element-actions.ts";
import type { Running } from "./kept-browser.ts";
import type { Tab } from "./tab.ts";

/** After an action, how long the page may take to come to rest, milliseconds. */
const SETTLE_MS = 3_000;
/** Of the outline that comes with an action, characters; a snapshot alone has more. */
const SHORT_OUTLINE = 8_000;
const MOST_SAVED = 64 * 1024 * 1024;

/** One command in a running browser. Throws GuildErrors for what the page, the policy or the caller does wrong. */
export async function act(browser: Running, input: BrowserInput, context: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  const { command } = input;
  const tab = command === "open" ? await tabToOpen(browser, input) : currentTab(browser);
  switch (command) {
    case "open":
      return await open(browser, tab, need(input.url, "url"), context, signal);
    case "snapshot":
      return await page(browser, tab, context, signal, undefined);
    case "screenshot":
      return await screenshot(browser, tab, input, context, signal);
    case "console":
      return await told(tab, tab.console.slice(-100), "The console is empty.", context);
    case "network":
      return await told(
        tab,
        tab.requests.slice(-100).map(({ method, url, type: kind, outcome }) => `${method} ${url} ${kind} → ${outcome || "under way"}`),
        "Nothing was asked for.",
        context,
      );
    case "tabs":
      return await tabs(browser, tab, input, context, signal);
    case "close":
      await browser.closeTab(numbered(browser, input.tab ?? 0));
      return { status: "ok", output: tabList(browser), data: { tabs: browser.tabs.length } };
    case "download":
      return await download(browser, input, context, signal);
    case "dialog":
      tab.answer = { accept: input.submit ?? true, text: input.text ?? "" };
      return { status: "ok", output: `The next dialogs of this tab are ${tab.answer.accept ? "accepted" : "dismissed"}.` };
    case "evaluate": {
      const value = await evaluate(tab, need(input.text, "text"), signal);
      const shown = await recordText(value === undefined ? "undefined" : (JSON.stringify(value, null, 1) ?? "undefined"), context.session);
      return {
        status: "ok",
        output: shown.text,
        ...(shown.fullOutput === undefined ? {} : { fullOutput: shown.fullOutput }),
        ...origin(tab),
      };
    }
    case "wait":
      return await wait(browser, tab, input, context, signal);
    case "reload":
      await tab.send("Page.reload", {}, signal);
      break;
    case "back":
    case "forward":
      await move(tab, command === "back" ? -1 : 1, signal);
      break;
    case "click":
      await click(tab, await tab.element(need(input.ref, "ref"), signal), signal);
      break;
    case "hover":
      await hover(tab, await tab.element(need(input.ref, "ref"), signal), signal);
      break;
    case "type":
      await type(tab, await tab.element(need(input.ref, "ref"), signal), need(input.text, "text"), signal);
      if (input.submit === true) await press(tab, "Enter", signal);
      break;
    case "press":
      await press(tab, need(input.text, "text"), signal);
      break;
    case "select":
      await select(tab, await tab.element(need(input.ref, "ref"), signal), need(input.values, "values"), signal);
      break;
    case "upload": {
      const objectId = await tab.element(need(input.ref, "ref"), signal);
      const found = await Promise.all(need(input.paths, "paths").map((path) => workspacePath(context.session.sandbox, path)));
      await tab.send("DOM.setFileInputFiles", { objectId, files: found.map(({ real }) => real) }, signal);
      break;
    }
    case "scroll":
      await scroll(tab, input, signal);
      break;
    default:
      return command satisfies never;
  }
  await tab.settle(SETTLE_MS, signal);
  await browser.settled();
  return await page(browser, currentTab(browser), context, signal, SHORT_OUTLINE);
}

async function open(browser: Running, tab: Tab, address: string, context: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  const url = address === "about:blank" ? undefined : webAddress(address);
  const loading = tab.send("Page.navigate", { url: url?.href ?? address }, signal);
  // A page that never answers is given up a little before the call is, so that what there is can be shown.
  const { errorText, isDownload } = await loading.catch((error: unknown) => {
    if (!signal.aborted) throw error;
    throw new GuildError("deadline_exceeded", `${url?.host ?? address} has not answered in time`, {
      remedy: "give it longer with timeout_s, or look whether it is reached at all with http",
    });
  });
  if (text(errorText) !== "" && isDownload !== true) throw failure(text(errorText), url, context);
  const quiet = await tab.settle(LOAD_MS, signal);
  if (!quiet) tab.notes.push("the page still loads");
  return await page(browser, tab, context, signal, SHORT_OUTLINE);
}

/** How long a page is waited for before it is shown as it is, milliseconds. */
const LOAD_MS = 10_000;

function failure(words: string, url: URL | undefined, { session }: ToolContext): GuildError {
  const host = url?.host ?? "the page";
  if (url !== undefined && !isLoopback(url)) {
    const closed = session.sandbox.wayOut === undefined;
    if (closed || words.includes("TUNNEL") || words.includes("PROXY")) {
      const reason = closed
        ? `no rule allows ${url.hostname}: the network of this sandbox is closed`
        : `the network policy does not let ${host} be reached`;
      return new GuildError("permission_denied", reason, policyRemedy("no rule", url));
    }
  }
  return new GuildError("unavailable", `${host} was not opened: ${words}`);
}

/** The page as it is now. */
async function page(browser: Running, tab: Tab, context: ToolContext, signal: AbortSignal, most: number | undefined): Promise<ToolResult> {
  // Its outline is made anew with the next frame that is drawn; a page in the background draws none.
  const expression = `new Promise((done) => {
    const tell = () => done([document.title, location.href]);
    requestAnimationFrame(() => requestAnimationFrame(tell));
    setTimeout(tell, 200);
  })`;
  const { result } = await tab.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true }, signal);
  const [title, href] = list(record(result)["value"]).map(text);
  tab.title = (title ?? "").slice(0, 300);
  if (href !== undefined) tab.url = href.slice(0, 2_000);
  const outline = await tab.outline(signal);
  const shown =
    most === undefined
      ? await recordText(outline, context.session)
      : { text: boundText(outline, most, "the whole: snapshot"), fullOutput: undefined };
  const number = browser.tabs.indexOf(tab) + 1;
  const head = `[${tab.title === "" ? "" : `${JSON.stringify(tab.title)} `}${tab.url}${browser.tabs.length > 1 ? `, tab ${number} of ${browser.tabs.length}` : ""}]`;
  const notes = tab.takeNotes().map((note) => `[${note}]`);
  return {
    status: "ok",
    output: [head, ...notes, shown.text === "" ? "(an empty page)" : shown.text].join("\n"),
    data: { url: tab.url, title: tab.title, tab: number, tabs: browser.tabs.length },
    ...(shown.fullOutput === undefined ? {} : { fullOutput: shown.fullOutput }),
    ...origin(tab),
  };
}

async function screenshot(browser: Running, tab: Tab, input: BrowserInput, context: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  const clip = await clipOf(tab, input, signal);
  const shoot = async (format: object): Promise<Buffer> => {
    const { data } = await tab.send(
      "Page.captureScreenshot",
      { ...format, ...(clip === undefined ? {} : { clip, captureBeyondViewport: true }) },
      signal,
    );
    return Buffer.from(text(data), "base64");
  };
  let mediaType = "image/png";
  let bytes = await shoot({ format: "png" });
  if (bytes.length > 4_000_000) {
    mediaType = "image/jpeg";
    bytes = await shoot({ format: "jpeg", quality: 60 });
  }
  const image = await context.session.blobs.put(bytes, mediaType);
  const number = browser.tabs.indexOf(tab) + 1;
  const output = `[${tab.url}, tab ${number}: ${mediaType}, ${bytes.length.toLocaleString("en")} bytes: ${storedOutputPath(image.digest)}]`;
  return { status: "ok", output, data: { url: tab.url, digest: image.digest, bytes: bytes.length }, images: [image], ...origin(tab) };
}

/** Highest picture, pixels. */
const TALLEST = 8_000;

async function clipOf(tab: Tab, { ref, full_page: whole }: BrowserInput, signal: AbortSignal): Promise<object | undefined> {
  if (ref !== undefined) {
    const objectId = await tab.element(ref, signal);
    await tab.send("DOM.scrollIntoViewIfNeeded", { objectId }, signal);
    const { model } = await tab.send("DOM.getBoxModel", { objectId }, signal);
    const [x = 0, y = 0] = list(record(model)["border"]).map(Number);
    const { cssVisualViewport } = await tab.send("Page.getLayoutMetrics", {}, signal);
    const { pageX = 0, pageY = 0 } = record(cssVisualViewport);
    const size = {
      width: Math.max(1, Number(record(model)["width"])),
      height: Math.min(TALLEST, Math.max(1, Number(record(model)["height"]))),
    };
    return { x: x + Number(pageX), y: y + Number(pageY), ...size, scale: 1 };
  }
  if (whole !== true) return undefined;
  const { cssContentSize } = await tab.send("Page.getLayoutMetrics", {}, signal);
  const { width = 1280, height = 800 } = record(cssContentSize);
  return { x: 0, y: 0, width: Math.min(4_000, Number(width)), height: Math.min(TALLEST, Number(height)), scale: 1 };
}

async function scroll(tab: Tab, { ref, dy }: BrowserInput, signal: AbortSignal): Promise<void> {
  if (ref !== undefined && dy === undefined) {
    await tab.send("DOM.scrollIntoViewIfNeeded", { objectId: await tab.element(ref, signal) }, signal);
    return;
  }
  if (ref !== undefined) await hover(tab, await tab.element(ref, signal), signal);
  const place = { x: 640, y: 400 };
  await tab.send("Input.dispatchMouseEvent", { type: "mouseWheel", ...place, deltaX: 0, deltaY: dy ?? 700 }, signal);
}

async function wait(
  browser: Running,
  tab: Tab,
  { text: words, ref, gone = false }: BrowserInput,
  context: ToolContext,
  signal: AbortSignal,
): Promise<ToolResult> {
  const condition =
    words !== undefined
      ? `document.body !== null && document.body.innerText.includes(${JSON.stringify(words)})`
      : `document.querySelector(${JSON.stringify(ref ?? "")}) !== null`;
  if (words === undefined && ref === undefined) {
    await tab.settle(LOAD_MS, signal);
    return await page(browser, tab, context, signal, SHORT_OUTLINE);
  }
  const expression = `new Promise((done) => {
    const look = () => { if ((${condition}) === ${!gone}) { watcher.disconnect(); done(true); } };
    const watcher = new MutationObserver(look);
    watcher.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
    addEventListener("load", look);
    look();
  })`;
  for (;;) {
    try {
      await evaluate(tab, expression, signal);
      return await page(browser, tab, context, signal, SHORT_OUTLINE);
    } catch (error) {
      // Another page came while it was waited: look there. The call's time ends it.
      const moved = GuildError.is(error, "failed_precondition") && /context|navigat|collected/i.test(error.message);
      if (!moved) throw error;
      await tab.settle(SETTLE_MS, signal);
    }
  }
}

async function tabs(browser: Running, tab: Tab, input: BrowserInput, context: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  if (input.tab === undefined) return await told(tab, [tabList(browser)], "", context);
  const wanted = numbered(browser, input.tab);
  browser.current = wanted;
  await wanted.send("Page.bringToFront", {}, signal);
  return await page(browser, wanted, context, signal, SHORT_OUTLINE);
}

async function download(browser: Running, input: BrowserInput, { session }: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  const all = browser.downloads;
  const lines = all.map(
    ({ name, url, state, bytes }, place) => `${place + 1}. ${JSON.stringify(name)} ${state}, ${bytes} bytes, from ${url}`,
  );
  const [path] = input.paths ?? [];
  if (path === undefined)
    return {
      status: "ok",
      output: lines.join("\n") || "Nothing was downloaded.",
      data: { downloads: all.length },
      untrusted: "a download",
    };
  const wanted = input.tab === undefined ? all.at(-1) : all[input.tab - 1];
  if (wanted === undefined) throw new GuildError("not_found", "there is no such download");
  while (wanted.state === "under way") {
    const why = await currentTab(browser).changes.wait(SETTLE_MS, signal);
    if (why === "aborted") throw new GuildError("deadline_exceeded", `${wanted.name} is still under way (${wanted.bytes} bytes)`);
  }
  if (wanted.state !== "done") throw new GuildError("unavailable", `${wanted.name} was cancelled`);
  const { size } = await session.sandbox.files.stat(wanted.file);
  if (size > MOST_SAVED) throw new GuildError("failed_precondition", `${wanted.name} has ${size} bytes, more than ${MOST_SAVED}`);
  const { real, shown } = await workspacePath(session.sandbox, path);
  await session.sandbox.files.write(real, await session.sandbox.files.read(wanted.file), { parents: true });
  return { status: "ok", output: `Written to ${shown}: ${size} bytes.`, data: { path: shown, bytes: size }, untrusted: "a download" };
}

async function move(tab: Tab, by: 1 | -1, signal: AbortSignal): Promise<void> {
  const { currentIndex, entries } = await tab.send("Page.getNavigationHistory", {}, signal);
  const entry = record(list(entries)[Number(currentIndex) + by]);
  if (entry["id"] === undefined) throw new GuildError("failed_precondition", `there is no page to go ${by === 1 ? "forward" : "back"} to`);
  await tab.send("Page.navigateToHistoryEntry", { entryId: entry["id"] }, signal);
}

async function told(tab: Tab, lines: string[], nothing: string, { session }: ToolContext): Promise<ToolResult> {
  const shown = await recordText(lines.join("\n"), session);
  return { status: "ok", output: shown.text === "" ? nothing : shown.text, data: { entries: lines.length }, ...origin(tab) };
}

function tabList(browser: Running): string {
  return browser.tabs
    .map(
      (tab, place) =>
        `${place + 1}. ${tab.title === "" ? "" : `${JSON.stringify(tab.title)} `}${tab.url}${tab === browser.current ? " (this one)" : ""}`,
    )
    .join("\n");
}

async function tabToOpen(browser: Running, { tab }: BrowserInput): Promise<Tab> {
  if (tab === 0 || browser.current === undefined || browser.current.crashed) return await browser.newTab();
  return tab === undefined ? browser.current : (browser.current = numbered(browser, tab));
}

function currentTab(browser: Running): Tab {
  if (browser.current === undefined)
    throw new GuildError("failed_precondition", "no page is open", { remedy: "begin with the command open" });
  return browser.current;
}

function numbered(browser: Running, number: number): Tab {
  const tab = browser.tabs[number - 1];
  if (tab === undefined) throw new GuildError("not_found", `there is no tab ${number}; there are ${browser.tabs.length}`);
  return tab;
}

/** Pages of the sandbox's own servers are the agent's; all others are a stranger's words. */
function origin(tab: Tab): { untrusted?: string } {
  if (!URL.canParse(tab.url)) return {};
  const url = new URL(tab.url);
  return url.protocol === "about:" || isLoopback(url) ? {} : { untrusted: url.origin === "null" ? tab.url.slice(0, 100) : url.origin };
}

function need<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new GuildError("invalid_argument", `this command needs ${name}`);
  return value;
}
