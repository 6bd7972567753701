import { promisify } from "node:util";
import { crc32, deflate } from "node:zlib";

import { GuildError } from "@guildhall/core";

/** Red, green and blue of each pixel, row by row. */
export interface Picture {
  width: number;
  height: number;
  pixels: Buffer;
}

const LARGEST = 8_192;

/** Reads a window dump as Xvfb keeps its screen (X11/XWDFile.h), 24 bits of colour in 32. Throws `corrupt`: who wrote it is a stranger. */
export function readWindowDump(bytes: Buffer): Picture {
  const bad = (why: string): GuildError => new GuildError("corrupt", `the virtual screen cannot be read: ${why}`);
  if (bytes.length < 100) throw bad("it is too short");
  const field = (place: number): number => bytes.readUInt32BE(place * 4);
  const [headerSize, version, format] = [field(0), field(1), field(2)];
  const [width, height, order, perPixel, perLine, colours] = [field(4), field(5), field(7), field(11), field(12), field(19)];
  if (version !== 7 || format !== 2 || perPixel !== 32) throw bad("its form is not known");
  if (width < 1 || height < 1 || width > LARGEST || height > LARGEST || perLine < width * 4)
    throw bad(`it has ${width} × ${height} pixels`);
  const start = headerSize + colours * 12;
  if (bytes.length < start + perLine * height) throw bad("it breaks off");
  const pixels = Buffer.alloc(width * height * 3);
  const [red, green, blue] = order === 0 ? [2, 1, 0] : [1, 2, 3];
  for (let y = 0, to = 0; y < height; y += 1) {
    for (let from = start + y * perLine, end = from + width * 4; from < end; from += 4, to += 3) {
      pixels[to] = bytes[from + red] ?? 0;
      pixels[to + 1] = bytes[from + green] ?? 0;
      pixels[to + 2] = bytes[from + blue] ?? 0;
    }
  }
  return { width, height, pixels };
}

/** As PNG (ISO 15948), rows unfiltered. */
export async function encodePng({ width, height, pixels }: Picture): Promise<Buffer> {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y += 1) pixels.copy(rows, y * (width * 3 + 1) + 1, y * width * 3, (y + 1) * width * 3);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const data = await promisify(deflate)(rows, { level: 6 });
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", data),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
