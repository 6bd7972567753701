/** A directory (`mode`), a file (`content`) or a symbolic link (`link`); names of at most a hundred bytes. */
export type TarEntry =
  | { name: string; mode: number; content?: Buffer; owner?: { uid: number; gid: number } }
  | { name: string; link: string };

const BLOCK = 512;

/** A tar archive (POSIX ustar), owned by root where nobody else is named, the same bytes for the same entries. */
export function tar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap((entry) => [header(entry), ...blocks(entry)]), Buffer.alloc(2 * BLOCK)]);
}

function blocks(entry: TarEntry): Buffer[] {
  if (!("content" in entry) || entry.content === undefined) return [];
  return [entry.content, Buffer.alloc((BLOCK - (entry.content.length % BLOCK)) % BLOCK)];
}

function header(entry: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const link = "link" in entry;
  const content = "content" in entry ? entry.content : undefined;
  const { uid, gid } = ("owner" in entry ? entry.owner : undefined) ?? { uid: 0, gid: 0 };
  block.write(entry.name, 0, 100, "utf8");
  for (const [at, width, value] of [
    [100, 8, link ? 0o777 : entry.mode],
    [108, 8, uid],
    [116, 8, gid],
    [124, 12, content?.length ?? 0],
    [136, 12, 0],
  ] as const) {
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  }
  block.write(link ? "2" : content === undefined ? "5" : "0", 156, "latin1");
  if (link) block.write(entry.link, 157, 100, "utf8");
  block.write("ustar\u000000", 257, "latin1");
  // The sum is taken with its own field filled with blanks.
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
