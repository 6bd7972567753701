import { setImmediate as nextTurn } from "node:timers/promises";

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallFrameSchema } from "@guildhall/protocol/internal";

export type Frame = MessageInitShape<typeof CallFrameSchema>;
export type FrameKind = NonNullable<Frame["kind"]>;

/** Frames on their way into a carrier, in order within each call. A large message goes in parts, between which other calls have their turn. */
export interface FrameBox {
  push(call: number, kind: FrameKind): void;
  /** No more come; those pushed before still go out. */
  end(): void;
  /** What has gathered since the last message, which is all that many calls have said in one turn of the event loop. */
  batches(): AsyncIterable<{ frames: Frame[] }>;
  /** Resolves as soon as no more than `bytes` wait in here. */
  room(bytes: number): Promise<void>;
}

export function createFrameBox(): FrameBox {
  let frames: Frame[] = [];
  /** Calls with a large message on its way: what is left of it, and the frames behind it. */
  const large = new Map<number, Array<{ kind: FrameKind; from: number }>>();
  let size = 0;
  let ended = false;
  let wake = (): void => undefined;
  let left = Promise.withResolvers<void>();

  /** One part of each large message in turn, until `most` bytes. */
  function parts(most: number): Frame[] {
    const taken: Frame[] = [];
    for (const [call, queue] of large) {
      if (most <= 0) break;
      large.delete(call);
      most -= takePart(call, queue, taken);
      if (queue.length > 0) large.set(call, queue);
    }
    return taken;
  }

  return {
    push(call, kind) {
      if (ended) return;
      const bytes = bytesOf(kind).length;
      size += bytes;
      const behind = large.get(call);
      if (behind !== undefined) behind.push({ kind, from: 0 });
      else if (bytes > PART_BYTES && isMessage(kind)) large.set(call, [{ kind, from: 0 }]);
      else frames.push({ call, kind });
      wake();
    },
    end() {
      ended = true;
      wake();
      left.resolve();
    },
    async room(bytes) {
      while (size > bytes && !ended) await left.promise;
    },
    async *batches() {
      for (;;) {
        if (frames.length === 0 && large.size === 0) {
          if (ended) return;
          await new Promise<void>((resolve) => (wake = resolve));
        }
        await nextTurn();
        const own = frames;
        frames = [];
        for (let from = 0, first = true; first || from < own.length; first = false) {
          let until = from;
          let bytes = 0;
          for (; until < own.length && bytes < BATCH_BYTES; until++) bytes += sizeOf(own[until]);
          const batch = own.slice(from, until).concat(large.size > 0 ? parts(BATCH_BYTES - bytes) : []);
          from = until;
          if (batch.length > 0) yield { frames: batch };
          for (const frame of batch) size -= sizeOf(frame);
        }
        left.resolve();
        left = Promise.withResolvers();
      }
    },
  };
}

/** A message is closed when it holds as much. */
const BATCH_BYTES = 256 << 10;
/** What is larger goes in several frames. */
export const PART_BYTES = 64 << 10;

/** Takes the next part of the first of `queue`, and of what is behind it whatever is small. Returns how many bytes that is. */
function takePart(call: number, queue: Array<{ kind: FrameKind; from: number }>, into: Frame[]): number {
  let taken = 0;
  for (let head = queue[0]; head !== undefined; head = queue[0]) {
    const { kind, from } = head;
    const bytes = bytesOf(kind);
    if (bytes.length - from > PART_BYTES && isMessage(kind)) {
      if (taken > 0) break;
      into.push({ call, kind: { case: "part", value: bytes.subarray(from, from + PART_BYTES) } });
      head.from += PART_BYTES;
      return PART_BYTES;
    }
    into.push({ call, kind: isMessage(kind) ? { case: kind.case, value: bytes.subarray(from) } : kind });
    taken += bytes.length - from;
    queue.shift();
    if (taken >= PART_BYTES) break;
  }
  return taken;
}

type Message = Extract<FrameKind, { case: "message" | "last" }>;

function isMessage(kind: FrameKind): kind is Message {
  return kind.case === "message" || kind.case === "last";
}

function sizeOf({ kind }: Frame = {}): number {
  return kind === undefined ? 0 : bytesOf(kind).length;
}

const NONE = new Uint8Array(0);

function bytesOf(kind: FrameKind): Uint8Array {
  if (kind.case === "begin") return kind.value.request ?? NONE;
  return kind.case === "message" || kind.case === "last" || kind.case === "part" ? kind.value : NONE;
}
