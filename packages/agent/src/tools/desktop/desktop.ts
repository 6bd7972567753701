import { setTimeout as sleep } from "node:timers/promises";

import { GuildError, type ToolContext, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { commandRisk } from "../bash/command-risk.ts";
import { defineTool } from "../define-tool.ts";
import { leavingByCommand } from "../leaving.ts";
import { storedOutputPath } from "../output/stored-output.ts";
import { withinTime } from "../web/time-limit.ts";
import { KeptDisplay } from "./display.ts";

const schema = z.strictObject({
  command: z.enum(["start", "screenshot", "click", "move", "type", "press", "windows", "stop"]),
  program: z.string().min(1).optional().describe("start: a shell command that opens a window"),
  x: z.int().min(0).max(8_192).optional(),
  y: z.int().min(0).max(8_192).optional(),
  button: z.enum(["left", "middle", "right"]).optional(),
  double: z.boolean().optional(),
  text: z.string().max(5_000).optional().describe("type: words; press: a key such as Return or ctrl+s"),
  size: z
    .string()
    .regex(/^\d{3,4}x\d{3,4}$/)
    .optional()
    .describe("start: of the display, default 1280x800"),
});
type DesktopInput = z.output<typeof schema>;

const BUTTONS = { left: "1", middle: "2", right: "3" };
/** How long a program gets to draw what an action has changed, milliseconds. */
const DRAW_MS = 300;
/** And to open its window. */
const OPEN_MS = 1_500;

/** Programs with windows on a virtual display in the sandbox; see docs/tools.md. */
export const desktopTool = defineTool({
  name: "desktop",
  description: "Start a desktop program on a virtual display in the sandbox; look at it, click, type.",
  lazy: true,
  schema,
  risk: ({ command, program }) =>
    command === "start"
      ? commandRisk(program ?? "") === Risk.HIGH
        ? Risk.HIGH
        : Risk.MEDIUM
      : command === "screenshot" || command === "windows"
        ? Risk.LOW
        : Risk.MEDIUM,
  assess: ({ command, program }: DesktopInput, judge) =>
    command === "start" ? judge.judge(program ?? "") : { risk: Risk.MEDIUM, reasons: [] },
  resources: ({ command }) => [
    { name: "desktop:main", access: "write" },
    ...(command === "start" ? [{ name: "workspace", access: "write" as const }] : []),
  ],
  sends: ({ program, text }) => leavingByCommand(program) ?? leavingByCommand(text),
  async execute(input, context) {
    const kept = context.session.get("desktop", () => new KeptDisplay(context.session));
    return kept.exclusively(() => withinTime(context.signal, 60, (signal) => act(kept, input, context, signal)));
  },
});

async function act(kept: KeptDisplay, input: DesktopInput, context: ToolContext, signal: AbortSignal): Promise<ToolResult> {
  signal.throwIfAborted();
  switch (input.command) {
    case "start": {
      const [width = 1280, height = 800] = (input.size ?? "1280x800").split("x").map(Number);
      await kept.start(need(input.program, "program"), { width, height });
      await sleep(OPEN_MS, undefined, { signal });
      break;
    }
    case "stop":
      await kept.close();
      return { status: "ok", output: "The display and what ran on it are closed." };
    case "screenshot":
      break;
    case "windows":
      return await windows(kept, signal);
    case "click": {
      const times = input.double === true ? ["--repeat", "2", "--delay", "60"] : [];
      await kept.control([...moved(input), "click", ...times, BUTTONS[input.button ?? "left"]], signal);
      break;
    }
    case "move":
      await kept.control(moved(input), signal);
      break;
    case "type":
      await kept.control(["type", "--delay", "5", "--", need(input.text, "text")], signal);
      break;
    case "press":
      await kept.control(["key", "--", key(need(input.text, "text"))], signal);
      break;
    default:
      return input.command satisfies never;
  }
  if (input.command !== "screenshot") await sleep(DRAW_MS, undefined, { signal });
  return await look(kept, context);
}

async function look(kept: KeptDisplay, { session }: ToolContext): Promise<ToolResult> {
  const { png, width, height } = await kept.picture();
  const image = await session.blobs.put(png, "image/png");
  const programs = kept.programs();
  const output = [
    `[display of ${width} × ${height}: image/png, ${png.length.toLocaleString("en")} bytes: ${storedOutputPath(image.digest)}]`,
    ...programs,
  ].join("\n");
  return { status: "ok", output, data: { width, height, digest: image.digest, programs: programs.length }, images: [image] };
}

async function windows(kept: KeptDisplay, signal: AbortSignal): Promise<ToolResult> {
  const ids = (await kept.control(["search", "--onlyvisible", "--name", ".+"], signal).catch(noneFound))
    .split("\n")
    .filter((id) => /^\d+$/.test(id));
  const lines: string[] = [];
  for (const id of ids.slice(0, 30)) {
    const name = await kept.control(["getwindowname", id], signal).catch(noneFound);
    const place = await kept.control(["getwindowgeometry", "--shell", id], signal).catch(noneFound);
    const of = (field: string): string => new RegExp(`^${field}=(-?\\d+)$`, "m").exec(place)?.[1] ?? "?";
    lines.push(`${JSON.stringify(name.trim())} at ${of("X")},${of("Y")}, ${of("WIDTH")} × ${of("HEIGHT")}`);
  }
  return { status: "ok", output: lines.join("\n") || "There is no window.", data: { windows: lines.length } };
}

/** Windows come and go, and a search that finds none is a failure to xdotool. */
function noneFound(error: unknown): string {
  if (GuildError.is(error, "failed_precondition") && error.message.startsWith("xdotool:")) return "";
  throw error;
}

function moved({ x, y }: DesktopInput): string[] {
  return ["mousemove", "--sync", String(need(x, "x")), String(need(y, "y"))];
}

function key(name: string): string {
  if (!/^[\w+]{1,50}$/.test(name))
    throw new GuildError("invalid_argument", `${JSON.stringify(name.slice(0, 50))} is no key; such are Return, Escape, ctrl+s, F5`);
  return name;
}

function need<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new GuildError("invalid_argument", `this command needs ${name}`);
  return value;
}
