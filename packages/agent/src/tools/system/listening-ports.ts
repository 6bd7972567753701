import { GuildError, type SandboxFiles } from "@guildhall/core";

/** A port of the sandbox that takes connections or datagrams. */
export interface ListeningPort {
  protocol: "tcp" | "udp";
  address: string;
  port: number;
  /** Of the socket; how /proc names it. */
  inode: string;
}

/** Ports in order, by proc(5); the same port of IPv4 and IPv6 twice. None where there is no /proc. */
export async function listeningPorts(files: SandboxFiles): Promise<ListeningPort[]> {
  const tables = await Promise.all(
    (["tcp", "tcp6", "udp", "udp6"] as const).map(async (name) => {
      const text = await readProc(files, `/proc/net/${name}`);
      return text === undefined ? [] : parseTable(text, name.startsWith("tcp") ? "tcp" : "udp");
    }),
  );
  return tables.flat().toSorted((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1));
}

/** A file of /proc as text; undefined: it is gone, or not ours to read. */
export async function readProc(files: SandboxFiles, path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await files.read(path)).toString();
  } catch (error) {
    if (GuildError.is(error)) return undefined;
    throw error;
  }
}

/** Rows of /proc/net/tcp and its like: TCP sockets that listen (state 0A), UDP sockets that are bound and not connected (07). */
export function parseTable(text: string, protocol: "tcp" | "udp"): ListeningPort[] {
  const wanted = protocol === "tcp" ? "0A" : "07";
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      const [address = "", port = ""] = local.split(":");
      return state === wanted ? [{ protocol, address: readAddress(address), port: Number.parseInt(port, 16), inode }] : [];
    });
}

/** Hexadecimal in words of four bytes, each in the machine's order (little-endian on all that we run on). */
function readAddress(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, "hex")].toReversed());
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, index) => (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16));
  return `[${groups.join(":").replace(/(^|:)0(:0)+(:|$)/, "::")}]`;
}
