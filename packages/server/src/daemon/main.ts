import { closeSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { GuildError } from "@guildhall/core";
import { buildVersion, resolvePaths } from "@guildhall/core/paths";
import { createSecretScanner } from "@guildhall/core/secret-scan";

import { startDaemon } from "./daemon.ts";
import { createLog } from "./log.ts";

/**
 * The daemon's program. `--broker` makes it the network's broker instead, a child of the daemon. `--listen ADDR` opens a TCP address too, `--serve NAMES` runs these services instead, with `--join` and `--config`; `--foreground` says on stdout what happens, `--doctor` examines the machine, prints its
 * findings as JSON and ends; `--evaluate JSON` measures retrieval, prints the figures and ends. The descriptor `--ready-fd` gets one line of JSON when the daemon is ready or could not start.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      listen: { type: "string" },
      foreground: { type: "boolean" },
      doctor: { type: "boolean" },
      broker: { type: "boolean" },
      evaluate: { type: "string" },
      "ready-fd": { type: "string" },
      serve: { type: "string" },
      config: { type: "string" },
      join: { type: "string" },
      certs: { type: "string" },
    },
  });
  if (values.broker === true) {
    const { runBroker } = await import("@guildhall/sandbox");
    await runBroker(process);
    process.exit(0);
  }
  const env = { ...process.env };
  const uid = process.getuid?.() ?? 0;
  const paths = resolvePaths({ env, home: env["HOME"] ?? homedir(), uid, tmp: tmpdir() });
  if (values.certs !== undefined) {
    const { runCertificates } = await import("../certs/run-certificates.ts");
    process.exit(await runCertificates(values.certs, paths.config, process));
  }
  if (values.doctor === true) {
    const { examine } = await import("./doctor.ts");
    process.stdout.write(`${JSON.stringify(await examine({ paths, env, uid }))}\n`);
    return;
  }
  const readyFd = values["ready-fd"];
  const tellStarter = (message: Record<string, unknown>): void => {
    if (readyFd !== undefined) writeFileSync(Number(readyFd), `${JSON.stringify(message)}\n`);
    if (readyFd !== undefined) closeSync(Number(readyFd));
  };
  if (values.evaluate !== undefined) {
    const { evaluateFiles } = await import("../knowledge/evaluate.ts");
    try {
      const [{ readSettings }, { systemClock }] = await Promise.all([import("@guildhall/core/settings"), import("@guildhall/core")]);
      const { settings } = readSettings(paths.settingsFile, env);
      const deps = { dataDir: paths.data, clock: systemClock(), settings: () => settings.knowledge, keys: () => settings.keys };
      await evaluateFiles(values.evaluate, deps, (line) => void process.stdout.write(`${line}\n`));
    } catch (error) {
      const { code, message, subject, remedy } = GuildError.from(error);
      tellStarter({ state: "failed", code, message, subject, remedy });
      process.exitCode = 1;
    }
    return;
  }
  // Whoever read the log has gone: what is said is lost. Told of as an error, it would be said again, and again.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  const scanner = createSecretScanner({ rules: "shaped" });
  const log = createLog((line) => void process.stderr.write(scanner.redact(line)));
  process.on("uncaughtException", (error) => log.error("uncaught", error));
  process.on("unhandledRejection", (error) => log.error("unhandled rejection", error));
  try {
    const common = {
      paths: values.config === undefined ? paths : { ...paths, settingsFile: resolve(values.config) },
      uid,
      env,
      log,
      // The program as it was started: in a bundle this module is another file.
      version: buildVersion(pathToFileURL(process.argv[1] ?? "")),
      brokerProgram: [process.execPath, process.argv[1] ?? "", "--broker"] as const,
      ...(values.listen === undefined ? {} : { listen: values.listen }),
    };
    let failed: GuildError | undefined;
    const daemon = await (values.serve === undefined
      ? startDaemon(common)
      : (await import("../services/serve.ts")).startServices({
          ...common,
          names: values.serve.split(","),
          failed: (error) => (failed = error),
          ...(values.join === undefined ? {} : { join: values.join }),
        }));
    let asked = 0;
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => daemon.stop({ now: ++asked > 1 }));
    tellStarter({ state: "ready" });
    if (values.foreground === true) process.stdout.write(`ready: ${daemon.addresses.join(", ")}\n`);
    await daemon.ended;
    if (failed !== undefined) throw failed;
    process.exit(0);
  } catch (error) {
    const own = GuildError.from(error);
    if (values.serve !== undefined) {
      process.stderr.write(`guild: ${own.line}\n`);
      process.exit(own.code === "invalid_argument" || own.code === "not_found" ? 2 : 1);
    }
    if (own.code === "already_exists") {
      tellStarter({ state: "held" });
    } else {
      log.error("cannot start", error);
      tellStarter({ state: "failed", code: own.code, message: own.message, subject: own.subject, remedy: own.remedy });
    }
    if (values.foreground === true) process.stdout.write(`${own.line}\n`);
    process.exit(1);
  }
}

await main();
