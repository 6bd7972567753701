import { type Sandbox, type SandboxLimits, type ToolResult } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";
import { z } from "zod";

import { defineTool } from "../define-tool.ts";
import { listeningPorts, readProc } from "./listening-ports.ts";
import { processTable, type ProcessRow } from "./process-table.ts";

const schema = z.strictObject({
  processes: z.int().min(0).max(200).optional().describe("How many to list, by CPU time and memory; default 10"),
});

/** Between the two looks of which the present load is made, milliseconds. */
const SAMPLE_MS = 150;

/** What the sandbox uses and may use: CPU, memory, disk, processes, limits, ports. */
export const systemTool = defineTool({
  name: "system",
  description: "Show CPU, memory, disk, processes, limits and ports of the sandbox.",
  lazy: true,
  schema,
  risk: () => Risk.LOW,
  resources: () => [],
  async execute({ processes = 10 }, { session, signal }) {
    return look(session.sandbox, processes, signal);
  },
});

async function look(sandbox: Sandbox, most: number, signal: AbortSignal): Promise<ToolResult> {
  const { files } = sandbox;
  const [before, first] = await Promise.all([cpuTimes(sandbox), processTable(files)]);
  const [disks] = await Promise.all([diskSpace(sandbox, signal), new Promise((done) => setTimeout(done, SAMPLE_MS))]);
  signal.throwIfAborted();
  const [after, rows, usage, memory, load, nofile, ports] = await Promise.all([
    cpuTimes(sandbox),
    processTable(files),
    sandbox.usage(),
    memoryInfo(sandbox),
    readProc(files, "/proc/loadavg"),
    readProc(files, "/proc/self/limits"),
    listeningPorts(files),
  ]);
  const total = after.total - before.total;
  const busy = total > 0 ? (after.busy - before.busy) / total : 0;
  const earlier = new Map(first.map((row) => [row.pid, row.cpuSeconds]));
  const shown = rows
    .map((row) => ({ ...row, recent: row.cpuSeconds - (earlier.get(row.pid) ?? row.cpuSeconds) }))
    .toSorted((a, b) => b.recent - a.recent || b.cpuSeconds - a.cpuSeconds || b.residentBytes - a.residentBytes)
    .slice(0, most);
  const openFiles = Number(/^Max open files\s+(\d+)/m.exec(nofile ?? "")?.[1] ?? 0);
  const limits = { ...sandbox.limits, ...(sandbox.limits?.openFiles === undefined && openFiles > 0 ? { openFiles } : {}) };
  const data = {
    cpu: {
      cores: after.cores,
      busy: Math.round(busy * 1000) / 1000,
      load: (load ?? "").split(" ").slice(0, 3).map(Number),
      sandbox_ms: usage.cpuMs,
    },
    memory: { ...memory, sandbox_bytes: usage.memoryBytes },
    disks,
    processes: { count: rows.length, sandbox: usage.processes, top: shown.map(summary) },
    limits: limitData(limits),
    ports: [...new Set(ports.map(({ protocol, port }) => `${protocol}/${port}`))],
  };
  return { status: "ok", output: render(data, shown), data };
}

async function cpuTimes(sandbox: Sandbox): Promise<{ total: number; busy: number; cores: number }> {
  const text = (await readProc(sandbox.files, "/proc/stat")) ?? "";
  const fields = (/^cpu +(.*)$/m.exec(text)?.[1] ?? "").split(" ").map(Number);
  const total = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
  return { total, busy: total - (fields[3] ?? 0) - (fields[4] ?? 0), cores: (text.match(/^cpu\d/gm) ?? []).length };
}

async function memoryInfo(sandbox: Sandbox): Promise<{ total_bytes: number; available_bytes: number; swap_free_bytes: number }> {
  const text = (await readProc(sandbox.files, "/proc/meminfo")) ?? "";
  const of = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
  return { total_bytes: of("MemTotal"), available_bytes: of("MemAvailable"), swap_free_bytes: of("SwapFree") };
}

interface Disk {
  mount: string;
  total_bytes: number;
  used_bytes: number;
  available_bytes: number;
}

/** By df(1): files alone do not tell of the space that is left. */
async function diskSpace(sandbox: Sandbox, signal: AbortSignal): Promise<Disk[]> {
  const execution = await sandbox.exec({ argv: ["df", "-Pk", sandbox.workspace, "/tmp"], limits: { wallSeconds: 5 } }, signal);
  let text = "";
  try {
    for await (const { stream, bytes } of execution.output) if (stream === "stdout") text += Buffer.from(bytes).toString();
  } finally {
    await execution.close();
  }
  const disks = text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, total, used, available, mount] = /^.*? +(\d+) +(\d+) +(\d+) +\d+% (.*)$/.exec(line) ?? [];
      if (mount === undefined) return [];
      return [{ mount, total_bytes: Number(total) * 1024, used_bytes: Number(used) * 1024, available_bytes: Number(available) * 1024 }];
    });
  return disks.filter((disk, index) => disks.findIndex((other) => other.mount === disk.mount) === index);
}

function summary({ pid, parent, state, cpuSeconds, residentBytes, command }: ProcessRow): Record<string, unknown> {
  return { pid, parent, state, cpu_s: cpuSeconds, memory_bytes: residentBytes, command: command.slice(0, 200) };
}

function limitData(limits: SandboxLimits): Record<string, number> {
  const { cpus, memoryBytes, processes, cpuSeconds, wallSeconds, fileBytes, openFiles, diskBytes, diskFiles } = limits;
  const all = {
    cpus,
    memory_bytes: memoryBytes,
    processes,
    cpu_seconds: cpuSeconds,
    wall_seconds: wallSeconds,
    file_bytes: fileBytes,
    disk_bytes: diskBytes,
    disk_files: diskFiles,
    open_files: openFiles,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, number] => entry[1] !== undefined && entry[1] > 0));
}

interface SystemData {
  cpu: { cores: number; busy: number; load: number[]; sandbox_ms: number };
  memory: { total_bytes: number; available_bytes: number; sandbox_bytes: number };
  disks: Disk[];
  processes: { count: number; sandbox: number };
  limits: Record<string, number>;
  ports: string[];
}

function render(data: SystemData, rows: readonly ProcessRow[]): string {
  const { cpu, memory, disks, processes, limits, ports } = data;
  const lines = [
    `CPU: ${cpu.cores} cores, ${Math.round(cpu.busy * 100)}% busy, load ${cpu.load.join(" ")}; this sandbox has used ${(cpu.sandbox_ms / 1000).toFixed(1)} s`,
    `Memory: ${size(memory.available_bytes)} of ${size(memory.total_bytes)} available; this sandbox uses ${size(memory.sandbox_bytes)}`,
    ...disks.map((disk) => `Disk ${disk.mount}: ${size(disk.available_bytes)} of ${size(disk.total_bytes)} available`),
    `Limits: ${
      Object.entries(limits)
        .map(([name, value]) =>
          name.endsWith("bytes") ? `${name.replace("_bytes", "")} ${size(value)}` : `${name.replaceAll("_", " ")} ${value}`,
        )
        .join(", ") || "none known"
    }`,
    `Listening: ${ports.length === 0 ? "nothing" : ports.join(", ")}`,
    `Processes: ${processes.count}${rows.length === 0 ? "" : ", by CPU:"}`,
    ...rows.map(
      (row) =>
        `  ${String(row.pid).padStart(6)} ${row.state} ${row.cpuSeconds.toFixed(1).padStart(7)} s ${size(row.residentBytes).padStart(9)}  ${row.command.slice(0, 100)}`,
    ),
  ];
  return lines.join("\n");
}

function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
