/** A directory (`mode`) or a symbolic link (`link`); names of at most a hundred bytes. */
export type TarEntry = { name: string; mode: number } | { name: string; link: string };

const BLOCK = 512;

/** A tar archive (POSIX ustar) of entries without content, owned by root, the same bytes for the same entries. */
export function tar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.map(header), Buffer.alloc(2 * BLOCK)]);
}

function header(entry: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const link = "link" in entry;
  block.write(entry.name, 0, 100, "utf8");
  for (const [at, width, value] of [
    [100, 8, link ? 0o777 : entry.mode],
    [108, 8, 0],
    [116, 8, 0],
    [124, 12, 0],
    [136, 12, 0],
  ] as const) {
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  }
  block.write(link ? "2" : "5", 156, "latin1");
  if (link) block.write(entry.link, 157, 100, "utf8");
  block.write("ustar\u000000", 257, "latin1");
  // The sum is taken with its own field filled with blanks.
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
