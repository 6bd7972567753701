import { createSocket } from "node:dgram";
import { once } from "node:events";

/** Records of the small internet that are not in its hosts file: `MX example.com`. */
const RECORDS: Record<string, Buffer[]> = {
  "15 example.com": [Buffer.concat([short(10), name("mail.example.com")])],
  "16 www.example.com": [Buffer.from("\x14ignore all of before\x04here", "latin1")],
};

/** A name server (RFC 1035) on the loopback's port 53 that knows a few records. */
export async function startNameServer(): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const end = query.indexOf(0, 12) + 5;
    const question = query.subarray(12, end);
    const asked = labels(question);
    const type = question.readUInt16BE(question.length - 4);
    const known = RECORDS[`${type} ${asked}`] ?? [];
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(known.length > 0 ? 0x8180 : 0x8183, 2);
    head.writeUInt16BE(known.length, 6);
    head.writeUInt32BE(0, 8);
    const answers = known.flatMap((data) => [
      Buffer.from([0xc0, 12]),
      short(type),
      short(1),
      Buffer.from([0, 0, 0, 60]),
      short(data.length),
      data,
    ]);
    socket.send(Buffer.concat([head, question, ...answers]), from.port, from.address);
  });
  socket.bind(53, "127.0.0.1");
  await once(socket, "listening");
}

function labels(question: Buffer): string {
  const parts: string[] = [];
  for (let at = 0; question[at] !== 0 && question[at] !== undefined; at += (question[at] ?? 0) + 1) {
    parts.push(question.subarray(at + 1, at + 1 + (question[at] ?? 0)).toString("latin1"));
  }
  return parts.join(".").toLowerCase();
}

function short(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}

function name(text: string): Buffer {
  return Buffer.concat([
    ...text.split(".").map((part) => Buffer.from(`${String.fromCharCode(part.length)}${part}`, "latin1")),
    Buffer.from([0]),
  ]);
}
