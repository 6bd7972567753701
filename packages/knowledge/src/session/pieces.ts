import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ActionStatus, type Event, type ToolCall } from "@guildhall/protocol";

import type { RetrievalDocument } from "../retrieval/document.ts";

/** A piece of a session's past. `thread`, `order` and `at` are always there. */
export interface Piece extends RetrievalDocument {
  /** Event that it is of; 0: of none. */
  seq: number;
  /** `message 12`, `reply 14`, `bash 15`, `remembered`. */
  source: string;
  /** Never leaves by itself. */
  pinned: boolean;
  /** Absolute or relative path of the file that it shows, where it shows one. */
  path?: string;
}

/** What the event asks to be kept or dropped beyond its own pieces, where it is the result of a memory tool. */
export interface MemoryEffect {
  remembered?: { id: string; text: string; title?: string; pinned?: boolean };
  forgotten?: string;
}

/** Tools whose results come from memory: storing them would be remembering a memory. */
const MEMORY_TOOLS = new Set(["recall", "remember", "forget"]);
/** Tools whose results repeat what the call said. */
const SILENT_TOOLS = new Set(["think", "finish", "task_tracker"]);

/** Characters of one piece, and how many pieces one event may give: head and tail of what is longer. */
const LONGEST = 1_200;
const MOST = 6;

/**
 * The pieces of one event, in order: what people said, what the agent said, what its actions showed. `call` is the call that an observation
 * answers. Notices, recalled memories and summaries of history give none: they repeat.
 */
export function piecesOf(event: Event, call: ToolCall | undefined): Piece[] {
  switch (event.body.case) {
    case "messageReceived":
      return cut(event, event.body.value.text, { source: "message", importance: 0.9 });
    case "modelReplied":
      return cut(event, event.body.value.text, { source: "reply", importance: 0.6 });
    case "turnEnded":
      return cut(event, event.body.value.summary, { source: "end of turn", importance: 0.8 });
    case "actionFinished": {
      const { status, output } = event.body.value;
      if (call === undefined || MEMORY_TOOLS.has(call.tool) || SILENT_TOOLS.has(call.tool) || status === ActionStatus.REFUSED) return [];
      const path = pathOf(call);
      return cut(event, output, {
        source: call.tool,
        title: describe(call),
        importance: status === ActionStatus.OK ? 0.4 : 0.5,
        ...(path === undefined ? {} : { path }),
      });
    }
    default:
      return [];
  }
}

/** What the result of a memory tool did: kept in its data, so that the log alone rebuilds the memory. */
export function memoryEffect(event: Event, call: ToolCall | undefined): MemoryEffect {
  if (event.body.case !== "actionFinished" || call === undefined || !MEMORY_TOOLS.has(call.tool)) return {};
  const { status, data } = event.body.value;
  if (status !== ActionStatus.OK || data === "") return {};
  try {
    const { remembered, forgotten } = JSON.parse(data) as MemoryEffect;
    return {
      ...(typeof remembered?.id === "string" && typeof remembered.text === "string" ? { remembered } : {}),
      ...(typeof forgotten === "string" ? { forgotten } : {}),
    };
  } catch {
    // An older or foreign log: nothing is known to have been kept.
    return {};
  }
}

/** True when a successful call changed the file that it names. */
export function changesFile(call: ToolCall): boolean {
  return call.tool === "edit" && !/"command"\s*:\s*"view"/.test(call.arguments);
}

interface Kind {
  source: string;
  title?: string;
  importance: number;
  path?: string;
}

function cut(event: Event, text: string, kind: Kind): Piece[] {
  const { source, ...rest } = kind;
  const parts = partText(text.trim());
  const shown = parts.length <= MOST ? parts : [...parts.slice(0, MOST / 2), ...parts.slice(-MOST / 2)];
  const at = event.time === undefined ? 0 : timestampMs(event.time);
  return shown.map((part, index) => ({
    id: index === 0 ? `e${event.seq}` : `e${event.seq}.${index}`,
    text: part,
    thread: "session",
    order: event.seq + index / 100,
    at,
    seq: event.seq,
    source: `${source} ${event.seq}`,
    pinned: false,
    ...rest,
  }));
}

/** At blank lines, else at lines, else where it must be. */
function partText(text: string, longest = LONGEST): string[] {
  const parts: string[] = [];
  let rest = text;
  while (rest.length > longest) {
    const window = rest.slice(0, longest);
    const end = [window.lastIndexOf("\n\n"), window.lastIndexOf("\n"), window.lastIndexOf(" ")].find((at) => at > longest / 2) ?? longest;
    parts.push(rest.slice(0, end).toWellFormed().trim());
    rest = rest.slice(end);
  }
  parts.push(rest.trim());
  return parts.filter((part) => /[\p{L}\p{N}]/u.test(part));
}

function describe(call: ToolCall): string {
  const { command, path, query, pattern } = argumentsOf(call);
  const subject = [command, path, query, pattern].filter((one) => typeof one === "string").join(" ");
  return `${call.tool} ${subject}`.slice(0, 200).trim();
}

function pathOf(call: ToolCall): string | undefined {
  const { path } = argumentsOf(call);
  return typeof path === "string" ? path : undefined;
}

function argumentsOf(call: ToolCall): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(call.arguments);
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    // Models write invalid arguments; then they say nothing.
    return {};
  }
}
