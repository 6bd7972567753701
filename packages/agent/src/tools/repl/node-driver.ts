/** A thread of the driver: reads requests, hands them on, and stops the main thread even in a loop without end. */
const READER = String.raw`
const { Session } = require("node:inspector");
const { Socket } = require("node:net");
const { parentPort, workerData } = require("node:worker_threads");
setInterval(() => undefined, 2 ** 30);
const session = new Session();
session.connectToMainThread();
const interrupt = () => {
  const [running] = workerData;
  parentPort.postMessage({ interrupt: running });
  setTimeout(() => {
    if (workerData[0] !== running) return;
    session.post("Runtime.terminateExecution", () => parentPort.postMessage({ interrupt: running }));
  }, 50);
};
let rest = Buffer.alloc(0);
const take = () => {
  for (;;) {
    const line = rest.indexOf(10);
    if (line < 0) return;
    const length = Number(rest.subarray(0, line));
    if (rest.length < line + 1 + length) return;
    const request = JSON.parse(rest.subarray(line + 1, line + 1 + length).toString());
    rest = rest.subarray(line + 1 + length);
    if (request.interrupt) interrupt();
    else parentPort.postMessage(request);
  }
};
// Not fs.read: a thread that waits in it would keep the whole process from exiting.
const input = new Socket({ fd: 0, readable: true, writable: false });
input.on("data", (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  take();
});
const over = () => process.kill(process.pid, "SIGKILL");
input.on("end", over).on("error", over);
`;

/**
 * Runs in `node -e`: requests on standard input, replies on descriptor 3; see protocol.ts. Code is evaluated in the inspector's REPL mode: top-level await,
 * declarations that may be repeated. Node.js 18 and later.
 */
export const NODE_DRIVER = String.raw`
// A block, so that no name in it is taken from who writes here.
{
const { writeSync } = require("node:fs");
const { Session } = require("node:inspector");
const { createRequire } = require("node:module");
const { resolve } = require("node:path");
const { Readable } = require("node:stream");
const { pathToFileURL } = require("node:url");
const util = require("node:util");
const { Worker } = require("node:worker_threads");
const MARK = Buffer.from(process.argv[1]);
process.argv.length = 1;
const MAGIC = [["image/png", "89504e47"], ["image/jpeg", "ffd8ff"], ["image/gif", "47494638"], ["image/webp", "52494646"]];
const STATIC = /^([ \t]*)import\s+(?:([\w$]+)\s*,?\s*)?(?:\*\s*as\s+([\w$]+)\s+|(\{[^}]*\})\s*)?(?:from\s*)?(["'][^"'\n]+["'])[ \t]*;?[ \t]*(?:\/\/.*)?$/gm;
/** Number of the request under way; 0: none. Also for the thread. */
const running = new Int32Array(new SharedArrayBuffer(8));
const pause = new Int32Array(new SharedArrayBuffer(4));
let displays = [];
const cut = (text) => (text.length > 20000 ? text.slice(0, 12000) + "\n… " + (text.length - 16000) + " characters left out …\n" + text.slice(-4000) : text);
const show = (value) => cut(util.types.isNativeError(value) ? (value.stack ?? String(value)) : util.inspect(value, { depth: 4, maxArrayLength: 100, maxStringLength: 25000, breakLength: 120 }));
const RICH = ["image/png", "image/jpeg", "image/svg+xml", "text/markdown", "text/html", "application/json"];
const DISPLAY = Symbol.for("Jupyter.display");
// What says itself how it is shown, as notebooks of JavaScript have it: a record by media type; pictures in Base64.
const bundle = (made) => {
  let found = false;
  for (const mime of RICH) {
    const data = made?.[mime];
    if (data === undefined || data === null || displays.length >= 32) continue;
    const text = typeof data === "string" ? data : JSON.stringify(data);
    if (text.length > 8e6) continue;
    displays.push({ mime, data: text });
    found = true;
    if (mime.startsWith("image/")) break;
  }
  return found;
};
const said = (value) => {
  if (value === null || typeof value !== "object" || typeof value[DISPLAY] !== "function") return undefined;
  try { return value[DISPLAY](); } catch { return undefined; }
};
const richLater = async (value) => {
  if (value instanceof Blob && value.type.startsWith("image/") && value.size <= 6e6) return rich(Buffer.from(await value.arrayBuffer()));
  return bundle(await said(value)) || rich(value);
};
const rich = (value) => {
  if (bundle(said(value))) return true;
  if (!(value instanceof Uint8Array) || value.length > 6e6 || displays.length >= 32) return false;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const head = bytes.subarray(0, 4).toString("hex");
  const [mime] = MAGIC.find(([, magic]) => head.startsWith(magic)) ?? [];
  if (mime !== undefined) displays.push({ mime, data: bytes.toString("base64") });
  return mime !== undefined;
};
const write = (descriptor, bytes) => {
  for (let at = 0; at < bytes.length; ) {
    try { at += writeSync(descriptor, bytes, at); }
    catch (error) { if (error.code !== "EAGAIN") return; Atomics.wait(pause, 0, 0, 1); }
  }
};
const hidden = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
const load = (name) => import(name.startsWith(".") ? pathToFileURL(resolve(name)).href : name);
const shown = { value: undefined };
hidden("require", createRequire(process.cwd() + "/repl"));
hidden("display", (...values) => values.forEach((value) => rich(value) || console.log(show(value))));
hidden("__guildhall", { import: load, take: (value) => void (shown.value = value) });
Object.defineProperty(process, "stdin", { value: Readable.from([]), configurable: true });
process.on("SIGINT", () => undefined);
process.on("uncaughtException", (error) => process.stderr.write("Uncaught, in the background: " + show(error) + "\n"));
setInterval(() => undefined, 2 ** 30);

const session = new Session();
session.connect();
const post = (method, parameters) => new Promise((done, fail) => session.post(method, parameters, (error, value) => (error ? fail(new Error(error.message)) : done(value))));
const plain = (code) => code
  .replace(STATIC, (_all, indent, name, all, names, module) => {
    const loaded = "(await __guildhall.import(" + module + "))";
    const parts = [];
    if (name) parts.push("const " + name + " = " + loaded + ".default;");
    if (all) parts.push("const " + all + " = " + loaded + ";");
    if (names) parts.push("const " + names.replace(/\bas\b/g, ":") + " = " + loaded + ";");
    return indent + (parts.length === 0 ? loaded + ";" : parts.join(" "));
  })
  .replace(/(?<![.\w$])import\s*\((?=\s*["'\w\x60])/g, "__guildhall.import(");
const valueOf = async (result) => {
  if (result.type === "undefined") return undefined;
  const { objectId, unserializableValue, value } = result;
  const argument = objectId !== undefined ? { objectId } : unserializableValue !== undefined ? { unserializableValue } : { value };
  const target = await post("Runtime.evaluate", { expression: "__guildhall" });
  await post("Runtime.callFunctionOn", { objectId: target.result.objectId, functionDeclaration: "function (value) { this.take(value); }", arguments: [argument] });
  const taken = shown.value;
  shown.value = undefined;
  return taken;
};
const evaluate = async (code) => {
  const { result, exceptionDetails } = await post("Runtime.evaluate", { expression: plain(code), replMode: true, awaitPromise: true, objectGroup: "cells" });
  const value = await valueOf(exceptionDetails?.exception ?? result);
  await post("Runtime.releaseObjectGroup", { objectGroup: "cells" });
  if (exceptionDetails !== undefined) {
    const text = value === undefined ? exceptionDetails.text : "Uncaught " + show(value);
    return { status: "error", error: text.replace(/\n\s+at .*(?:node:internal|\[eval\]).*/g, "") };
  }
  if (value === undefined || (await richLater(value))) return { status: "ok" };
  globalThis._ = value;
  return { status: "ok", value: show(value) };
};
const reply = (id, answer) => {
  if (running[0] !== id) return;
  running[0] = 0;
  for (const descriptor of [1, 2]) write(descriptor, MARK);
  const json = Buffer.from(JSON.stringify({ id, ...answer, displays }));
  write(3, Buffer.concat([Buffer.from(json.length + "\n"), json]));
};
const reader = new Worker(${JSON.stringify(READER)}, { eval: true, workerData: running });
reader.on("message", ({ id, code, interrupt }) => {
  // An interrupt is for the request that ran when it was asked for; reply passes over one that has ended meanwhile.
  if (interrupt !== undefined) {
    if (interrupt !== 0) reply(interrupt, { status: "interrupted", error: "interrupted" });
    return;
  }
  displays = [];
  running[0] = id;
  const flushed = (stream) => new Promise((done) => stream.write("", () => done()));
  const end = (answer) => Promise.all([flushed(process.stdout), flushed(process.stderr)]).then(() => reply(id, answer));
  evaluate(code).then(end, ({ message }) => end(/Execution was terminated/.test(message) ? { status: "interrupted", error: "interrupted" } : { status: "error", error: message }));
});
}
`;
