import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";

import { type CapabilityReport, GuildError } from "@guildhall/core";
import { ensureRuntimeDirectory, type Paths } from "@guildhall/core/paths";
import { effectivePolicy, readPolicy } from "@guildhall/core/policy-file";
import { readSettings, type Settings } from "@guildhall/core/settings";

import { checkKnowledge } from "../knowledge/doctor.ts";
import type { MachineFinding } from "./machine-finding.ts";
import { sandboxOptions } from "./sandboxes.ts";

export interface DoctorOptions {
  paths: Paths;
  uid: number;
  env: Readonly<Record<string, string | undefined>>;
}

/** Examines this machine: what the daemon needs, what sandboxes need, and whether a model is at hand. Changes nothing but empty directories. */
export async function examine(options: DoctorOptions): Promise<MachineFinding[]> {
  const node = checkNode(process.versions.node);
  const [configured, settings] = checkSettings(options);
  const rest = await Promise.all([
    checkDirectories(options),
    checkDatabase(options, configured),
    checkSandbox(options, configured),
    checkModels(options, configured),
    checkKnowledge(configured, options.paths.data),
  ]);
  return [node, settings, checkPolicy(options), ...rest.flat()];
}

const oldestNode = 24;
const leastFree = 1e9;

function checkNode(version: string): MachineFinding {
  const good = Number.parseInt(version, 10) >= oldestNode;
  return finding("node", good ? "ok" : "problem", `Node.js ${version}`, good ? "" : `use Node.js ${oldestNode} or newer`);
}

function checkSettings({ paths, env }: DoctorOptions): [Settings | undefined, MachineFinding] {
  try {
    const { settings } = readSettings(paths.settingsFile, env);
    const text = existsSync(paths.settingsFile) ? `settings ${paths.settingsFile}` : "settings: defaults, there is no file";
    return [settings, finding("settings", "ok", text)];
  } catch (error) {
    return [undefined, broken("settings", error)];
  }
}

function checkPolicy({ paths }: DoctorOptions): MachineFinding {
  const file = join(paths.config, "policy.toml");
  try {
    if (!existsSync(file)) return finding("policy", "ok", "policy: defaults, there is no file; nothing leaves a sandbox");
    const { network } = effectivePolicy({ name: "policy.toml", policy: readPolicy(readFileSync(file, "utf8"), file, "operator") });
    const hosts = new Set(network.layers.flat().flatMap((rule) => (rule.refuse === true ? [] : [rule.host])));
    return finding("policy", "ok", `policy ${file}: sandboxes may reach ${hosts.size === 0 ? "nothing" : `${hosts.size} host(s)`}`);
  } catch (error) {
    return broken("policy", error);
  }
}

async function checkDirectories({ paths, uid }: DoctorOptions): Promise<MachineFinding[]> {
  try {
    ensureRuntimeDirectory(paths, uid);
    mkdirSync(paths.data, { recursive: true, mode: 0o700 });
    const owner = statSync(paths.data).uid;
    if (owner !== uid) {
      return [
        finding("data", "problem", `data directory ${paths.data} belongs to uid ${owner}`, "give it to yourself, or set XDG_DATA_HOME"),
      ];
    }
    const { bavail, bsize } = await statfs(paths.data);
    const free = bavail * bsize;
    const text = `data directory ${paths.data}, ${(free / 1e9).toFixed(1)} GB free`;
    return [free < leastFree ? finding("data", "warning", text, "make room: a full disk stops sessions") : finding("data", "ok", text)];
  } catch (error) {
    return [broken("data", error)];
  }
}

async function checkDatabase({ paths }: DoctorOptions, settings: Settings | undefined): Promise<MachineFinding[]> {
  if (settings === undefined) return [];
  try {
    if (settings.database.url !== "") {
      const { default: pg } = await import("pg");
      const client = new pg.Client({ connectionString: settings.database.url, connectionTimeoutMillis: 5_000 });
      await client.connect();
      const { rows } = await client.query<{ version: string }>("SELECT current_setting('server_version') AS version");
      await client.end();
      return [finding("database", "ok", `PostgreSQL ${rows[0]?.version ?? ""} at database.url`)];
    }
    const { findBinaries } = await import("../storage/binaries.ts");
    await findBinaries(paths.data, undefined);
    return [
      finding(
        "database",
        "ok",
        `PostgreSQL of Guildhall's own${existsSync(join(paths.data, "postgres")) ? "" : ", made at the first start"}`,
      ),
    ];
  } catch (error) {
    return [
      broken("database", error, settings.database.url === "" ? "run npm install again" : "check database.url and whether the server runs"),
    ];
  }
}

async function checkSandbox({ paths }: DoctorOptions, settings: Settings | undefined): Promise<MachineFinding[]> {
  if (settings === undefined) return [];
  const name = settings.sandbox.provider;
  try {
    const { createSandboxProvider, sandboxProviderNames } = await import("@guildhall/sandbox");
    const probe = async (one: string): Promise<CapabilityReport> => {
      const provider = createSandboxProvider(one, sandboxOptions(settings, paths.data));
      try {
        return await provider.probe();
      } finally {
        await provider.close();
      }
    };
    const others = sandboxProviderNames.filter((one) => one !== name && one !== "host");
    const reports = await Promise.all([name, ...others].map(probe));
    return reports.flatMap((report, at) => (at === 0 ? describeReport(report) : [describeOther(report)]));
  } catch (error) {
    return [broken(`sandbox/${name}`, error)];
  }
}

/** A provider that nobody has configured: whether one could name it, and if not why. */
function describeOther({ provider, usable, capabilities }: CapabilityReport): MachineFinding {
  const lacking = capabilities.find((one) => !one.available);
  const state = usable
    ? `ready for --sandbox ${provider}`
    : `not ready for --sandbox ${provider}: ${lacking?.detail ?? ""}${lacking?.remedy === undefined ? "" : `; ${lacking.remedy}`}`;
  return finding(`sandbox/${provider}`, "ok", `sandbox provider ${provider}: ${state}`);
}

function describeReport(report: CapabilityReport): MachineFinding[] {
  const whole = report.usable
    ? finding(
        `sandbox/${report.provider}`,
        report.provider === "host" ? "warning" : "ok",
        `sandbox provider ${report.provider}`,
        hostRemedy(report),
      )
    : finding(
        `sandbox/${report.provider}`,
        "problem",
        `sandbox provider ${report.provider} does not work here`,
        "see what is missing below",
      );
  const missing = report.usable ? "warning" : "problem";
  const parts = report.capabilities.map((capability) =>
    finding(
      `sandbox/${report.provider}/${capability.name}`,
      capability.available ? "ok" : missing,
      `${capability.name}: ${capability.detail}`,
      capability.available ? "" : (capability.remedy ?? ""),
    ),
  );
  return [whole, ...parts];
}

function hostRemedy(report: CapabilityReport): string {
  return report.provider === "host" ? "nothing is isolated: set sandbox.provider to bubblewrap" : "";
}

async function checkModels({ env }: DoctorOptions, settings: Settings | undefined): Promise<MachineFinding[]> {
  if (settings === undefined) return [];
  try {
    const [{ createModelProvider }, { systemClock }] = await Promise.all([import("@guildhall/models"), import("@guildhall/core")]);
    const provider = createModelProvider({ clock: systemClock(), random: Math.random });
    const keys = Object.fromEntries(
      Object.entries(env).flatMap(([name, value]) => (value === undefined || !name.endsWith("_API_KEY") ? [] : [[name, value]])),
    );
    const configured = settings.model.default;
    const choice = await provider.choose({
      ...(configured === "" ? {} : { configured }),
      credentials: { ...settings.keys, ...keys },
    });
    return [finding("model", "ok", `model ${choice.spec}: ${choice.reason}`)];
  } catch (error) {
    const own = GuildError.from(error);
    return [finding("model", own.code === "failed_precondition" ? "warning" : "problem", own.message, own.remedy ?? "")];
  }
}

function finding(id: string, level: MachineFinding["level"], text: string, remedy = ""): MachineFinding {
  return { id, level, text, remedy };
}

function broken(id: string, error: unknown, remedy = ""): MachineFinding {
  const own = GuildError.from(error);
  const subject = own.subject === undefined || own.message.includes(own.subject) ? "" : ` (${own.subject})`;
  return finding(id, "problem", `${own.message}${subject}`, own.remedy ?? remedy);
}
