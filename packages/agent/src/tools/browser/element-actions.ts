import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "@guildhall/core";

import { list, record, text } from "./devtools.ts";
import { type KeyStroke, keyStroke } from "./keyboard.ts";
import type { Tab } from "./tab.ts";

/** How long an element may take to be ready for a click, milliseconds. */
const READY_MS = 3_000;

/** Presses and releases the mouse in the middle of an element, once nothing covers it. */
export async function click(tab: Tab, objectId: string, signal: AbortSignal, button: "left" | "right" = "left", clicks = 1): Promise<void> {
  const { x, y } = await clickablePoint(tab, objectId, signal);
  const at = { x, y, button };
  await tab.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y }, signal);
  for (let count = 1; count <= clicks; count += 1) {
    await tab.send("Input.dispatchMouseEvent", { type: "mousePressed", ...at, clickCount: count }, signal);
    await tab.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...at, clickCount: count }, signal);
  }
}

export async function hover(tab: Tab, objectId: string, signal: AbortSignal): Promise<void> {
  const { x, y } = await clickablePoint(tab, objectId, signal);
  await tab.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y }, signal);
}

/** Replaces what is in a field, as typing would. */
export async function type(tab: Tab, objectId: string, value: string, signal: AbortSignal): Promise<void> {
  await tab.send("DOM.scrollIntoViewIfNeeded", { objectId }, signal);
  const how = await call(tab, objectId, PREPARE_FIELD, [value], signal);
  if (how === "typed") await tab.send("Input.insertText", { text: value }, signal);
  else if (how !== "set") throw new GuildError("failed_precondition", `it takes no text: ${String(how).slice(0, 100)}`);
}

export async function select(tab: Tab, objectId: string, values: readonly string[], signal: AbortSignal): Promise<void> {
  const problem = await call(tab, objectId, SELECT, [values], signal);
  if (problem !== "") throw new GuildError("failed_precondition", String(problem).slice(0, 500));
}

export async function press(tab: Tab, name: string, signal: AbortSignal): Promise<void> {
  const stroke: KeyStroke = keyStroke(name);
  await tab.send("Input.dispatchKeyEvent", { type: stroke.text === undefined ? "rawKeyDown" : "keyDown", ...stroke }, signal);
  const { text: _, ...up } = stroke;
  await tab.send("Input.dispatchKeyEvent", { type: "keyUp", ...up }, signal);
}

/** The value of a script in the page, as JSON. Throws `failed_precondition` with what it threw. */
export async function evaluate(tab: Tab, expression: string, signal: AbortSignal): Promise<unknown> {
  // Only then does the browser take `await` at the top; and only otherwise does it wait for a promise that is the value.
  const { result, exceptionDetails } = await tab.send(
    "Runtime.evaluate",
    { expression, awaitPromise: true, returnByValue: true, userGesture: true, replMode: /(^|[^.\w])await\s/.test(expression) },
    signal,
  );
  if (exceptionDetails !== undefined) {
    const { exception, text: words } = record(exceptionDetails);
    throw new GuildError("failed_precondition", (text(record(exception)["description"]) || text(words)).slice(0, 1_000));
  }
  const { value, description } = record(result);
  return value ?? description;
}

async function clickablePoint(tab: Tab, objectId: string, signal: AbortSignal): Promise<{ x: number; y: number }> {
  const deadline = performance.now() + READY_MS;
  for (let pause = 20; ; pause = Math.min(pause * 2, 320)) {
    await tab.send("DOM.scrollIntoViewIfNeeded", { objectId }, signal).catch((error: unknown) => {
      // What has no box is told of below, unless it gets one.
      if (!GuildError.is(error, "failed_precondition")) throw error;
    });
    const { quads } = await tab.send("DOM.getContentQuads", { objectId }, signal).catch(() => ({ quads: [] }));
    const corners = list(quads)
      .map((quad) => list(quad).map(Number))
      .find((quad) => quad.length === 8 && area(quad) > 1);
    let problem = "it is not visible";
    if (corners !== undefined) {
      const x = average(corners, 0);
      const y = average(corners, 1);
      problem = String(await call(tab, objectId, HIT, [x, y], signal));
      if (problem === "") return { x, y };
    }
    if (performance.now() > deadline)
      throw new GuildError("failed_precondition", `the element cannot be clicked: ${problem.slice(0, 300)}`);
    await sleep(pause, undefined, { signal });
  }
}

async function call(
  tab: Tab,
  objectId: string,
  functionDeclaration: string,
  values: readonly unknown[],
  signal: AbortSignal,
): Promise<unknown> {
  const { result, exceptionDetails } = await tab.send(
    "Runtime.callFunctionOn",
    { objectId, functionDeclaration, arguments: values.map((value) => ({ value })), returnByValue: true, userGesture: true },
    signal,
  );
  if (exceptionDetails !== undefined)
    throw new GuildError("failed_precondition", `the page's own code failed: ${text(record(exceptionDetails)["text"])}`);
  return record(result)["value"];
}

const average = (corners: number[], from: 0 | 1): number => [0, 2, 4, 6].reduce((sum, place) => sum + (corners[place + from] ?? 0), 0) / 4;

function area(quad: number[]): number {
  let sum = 0;
  for (let corner = 0; corner < 4; corner += 1) {
    const next = (corner + 1) % 4;
    sum += (quad[corner * 2] ?? 0) * (quad[next * 2 + 1] ?? 0) - (quad[next * 2] ?? 0) * (quad[corner * 2 + 1] ?? 0);
  }
  return Math.abs(sum) / 2;
}

/** Run in the page: why a click at this point would not reach the element; empty: it would. */
const HIT = `function (x, y) {
  if (this.disabled) return "it is disabled";
  const view = this.ownerDocument.defaultView;
  if (view !== view.top) return "";
  let hit = this.getRootNode().elementFromPoint?.(x, y) ?? null;
  if (hit === null || this === hit || this.contains(hit) || hit.contains(this)) return "";
  for (const label of this.labels ?? []) if (label.contains(hit)) return "";
  return "it is covered by <" + hit.tagName.toLowerCase() + (hit.id ? " id=" + hit.id : "") + (typeof hit.className === "string" && hit.className ? " class=" + hit.className : "") + ">";
}`;

/** Run in the page: makes a field ready to be typed into, or sets it where its kind takes no typing. */
const PREPARE_FIELD = `function (value) {
  const kinds = ["date", "time", "datetime-local", "month", "week", "color", "range"];
  this.focus();
  if (this.disabled || this.readOnly) return "it is " + (this.disabled ? "disabled" : "read-only");
  if (this.tagName === "INPUT" && kinds.includes(this.type)) {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(this, value);
    this.dispatchEvent(new Event("input", { bubbles: true }));
    this.dispatchEvent(new Event("change", { bubbles: true }));
    return "set";
  }
  if (this.tagName === "INPUT" || this.tagName === "TEXTAREA") {
    if (["checkbox", "radio", "file", "button", "submit", "image"].includes(this.type)) return "a " + this.type;
    this.select();
    return "typed";
  }
  if (!this.isContentEditable) return "<" + this.tagName.toLowerCase() + ">";
  this.ownerDocument.getSelection().selectAllChildren(this);
  return "typed";
}`;

/** Run in the page: chooses options by their value or their words; empty: done. */
const SELECT = `function (values) {
  if (this.tagName !== "SELECT") return "it is no list to choose from, but <" + this.tagName.toLowerCase() + ">";
  const options = [...this.options];
  const wanted = values.map((value) => options.find((one) => one.value === value) ?? options.find((one) => one.label.trim() === value.trim()));
  const missing = values.filter((_, place) => wanted[place] === undefined);
  if (missing.length > 0) return "there is no " + JSON.stringify(missing[0]) + "; there are " + options.map((one) => one.label.trim()).slice(0, 50).join(", ");
  if (!this.multiple && values.length !== 1) return "only one can be chosen";
  for (const option of options) option.selected = wanted.includes(option);
  this.dispatchEvent(new Event("input", { bubbles: true }));
  this.dispatchEvent(new Event("change", { bubbles: true }));
  return "";
}`;
