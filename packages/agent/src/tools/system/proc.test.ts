import assert from "node:assert/strict";
import { test } from "node:test";

import { parseTable } from "./listening-ports.ts";
import { parseStat } from "./process-table.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const row = (local: string, state: string, inode: string): string =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0000000000000000 100 0 0 10 0\n`;

test("sockets that listen are read, of both families, connections left out", () => {
  const tcp = HEAD + row("0100007F:1F90", "0A", "11") + row("0100007F:1F91", "01", "12") + row("00000000:0050", "0A", "13");
  assert.deepEqual(parseTable(tcp, "tcp"), [
    { protocol: "tcp", address: "127.0.0.1", port: 8080, inode: "11" },
    { protocol: "tcp", address: "0.0.0.0", port: 80, inode: "13" },
  ]);
  const six = HEAD + row("00000000000000000000000001000000:0016", "0A", "14") + row("B80D0120000000000000000001000000:0035", "07", "15");
  assert.deepEqual(
    parseTable(six, "tcp").map(({ address }) => address),
    ["[::1]"],
  );
  assert.deepEqual(
    parseTable(six, "udp").map(({ address, port }) => [address, port]),
    [["[2001:db8::1]", 53]],
  );
});

test("a process may be called anything", () => {
  const stat = "42 (a) R (x) S 7 42 42 0 -1 4194560 79 0 1 0 150 50 0 0 20 0 3 0 699635 3055616 184 18446744073709551615 1 1";
  assert.deepEqual(parseStat(stat, "prog\0--flag\0"), {
    pid: 42,
    parent: 7,
    state: "S",
    cpuSeconds: 2,
    residentBytes: 184 * 4096,
    threads: 3,
    command: "prog --flag",
  });
  assert.equal(parseStat(stat, "")?.command, "[a) R (x]");
  assert.equal(parseStat("", ""), undefined);
});
