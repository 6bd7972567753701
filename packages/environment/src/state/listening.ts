/** Ports on which something listens, by the text of /proc/net/tcp and tcp6, in order. */
export function listeningPorts(...tables: string[]): number[] {
  const found = new Set<number>();
  for (const table of tables) {
    for (const line of table.split("\n").slice(1)) {
      const [, local, , state] = line.trim().split(/\s+/);
      const port = Number.parseInt(local?.split(":")[1] ?? "", 16);
      if (state === "0A" && Number.isInteger(port)) found.add(port);
    }
  }
  return [...found].toSorted((a, b) => a - b);
}
