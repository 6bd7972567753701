import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { listeningPorts } from "./listening-ports.ts";
import { type ProcessRow, processTable, socketOwners } from "./process-table.ts";

const schema = z.strictObject({ port: z.int().min(1).max(65_535).optional().describe("Only this one") });

/** Which ports of the sandbox are listened on, and by what; reads, connects to nothing. */
export const portsTool = defineTool({
  name: "ports",
  description: "List the TCP and UDP ports that are listened on in the sandbox, with their processes.",
  lazy: true,
  schema,
  risk: () => Risk.LOW,
  resources: () => [],
  async execute({ port }, { session }) {
    const { files } = session.sandbox;
    const found = (await listeningPorts(files)).filter((one) => port === undefined || one.port === port);
    const owners =
      found.length === 0
        ? new Map<string, ProcessRow>()
        : await socketOwners(files, await processTable(files), new Set(found.map(({ inode }) => inode)));
    const rows = found.map(({ protocol, address, port: number, inode }) => {
      const owner = owners.get(inode);
      return { protocol, address, port: number, pid: owner?.pid ?? null, command: owner?.command.slice(0, 200) ?? "" };
    });
    const lines = rows.map(
      (row) => `${row.protocol} ${row.address}:${row.port}${row.pid === null ? "" : `  ${row.command} (pid ${row.pid})`}`,
    );
    const nothing = port === undefined ? "Nothing listens." : `Nothing listens on port ${port}.`;
    return { status: "ok", output: lines.length === 0 ? nothing : lines.join("\n"), data: { ports: rows } };
  },
});
