import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type DeltasMessage, DeltasMessageSchema } from "@guildhall/protocol/internal";

/** One message of what is on its way in a session, as one orchestrator tells it to another: the `nth` that it tells to that one of this session. */
export interface LivePiece {
  source: string;
  nth: number;
  message: DeltasMessage;
}

/** The piece as payloads of notices, to be told in this order. */
export function framesOf({ source, nth, message }: LivePiece): string[] {
  const text = Buffer.from(toBinary(DeltasMessageSchema, message)).toString("base64");
  const count = Math.ceil(text.length / LONGEST) || 1;
  return Array.from({ length: count }, (_, part) =>
    [source, message.session, nth, part, count, text.slice(part * LONGEST, (part + 1) * LONGEST)].join("\n"),
  );
}

/** Puts pieces together again. Of what is no whole piece nothing is given out, and one a session waits for its rest. */
export class FrameJoiner {
  readonly #begun = new Map<string, { of: string; parts: string[] }>();

  /** `wanted`: of other sessions nothing is kept. */
  take(payload: string, wanted: (session: string) => boolean): LivePiece | undefined {
    const [source = "", session = "", nth = "", part = "", count = "", text = ""] = payload.split("\n");
    if (!wanted(session) || !(Number(count) <= MOST_PARTS)) return undefined;
    const of = [source, nth, count].join("\n");
    const known = this.#begun.get(session);
    const parts = known?.of === of ? known.parts : [];
    if (parts.length !== Number(part)) {
      this.#begun.delete(session);
      return undefined;
    }
    parts.push(text);
    if (parts.length < Number(count)) {
      this.#begun.set(session, { of, parts });
      return undefined;
    }
    this.#begun.delete(session);
    try {
      const message = fromBinary(DeltasMessageSchema, Buffer.from(parts.join(""), "base64"));
      return message.session === session ? { source, nth: Number(nth), message } : undefined;
    } catch {
      // Nobody of ours has told it.
      return undefined;
    }
  }

  /** Nobody waits for the rest any more. */
  forget(session: string): void {
    this.#begun.delete(session);
  }
}

/** Characters of a piece in one notice, whose payload the database bounds to less than 8,000 bytes; a session's name may have 512. */
const LONGEST = 7_200;
/** All that a session can have on its way (text, reasoning and 16 outputs of 32,768 characters) fits into fewer, whatever it is written in. */
const MOST_PARTS = 512;
