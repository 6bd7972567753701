import { GuildError, type ProjectFiles, type SandboxService } from "@guildhall/core";

import { Data } from "../project/read-data.ts";
import { type DevcontainerBuild, resolved, trustedText } from "./devcontainer-build.ts";

/** A service that is to run beside a sandbox, before its image is known. */
export interface BesideService extends Omit<SandboxService, "image"> {
  image: string | undefined;
  build: DevcontainerBuild | undefined;
}

/** The service of a Compose project that a sandbox is, as far as it can be it, and those beside it. */
export interface ComposeService {
  image: string | undefined;
  build: DevcontainerBuild | undefined;
  variables: Readonly<Record<string, string>>;
  /** Those that others depend on first. */
  beside: readonly BesideService[];
  /** What it asks for and does not get: one line each. */
  refused: string[];
}

/** The service of the first Compose file that devcontainer.json names; undefined: it names none. Throws `invalid_argument`, `unsupported`. */
export async function composeService(data: Data, file: string, files: ProjectFiles): Promise<ComposeService | undefined> {
  const given = data.at("dockerComposeFile");
  const named = given.text === undefined ? given.items.flatMap((one) => one.text ?? []) : [given.text];
  if (named.length === 0) return undefined;
  const beside = file.includes("/") ? file.slice(0, file.lastIndexOf("/")) : "";
  const path = resolved(beside, named[0] ?? "");
  const text = await trustedText(files, path);
  const { parse } = await import("yaml");
  let compose: Data;
  try {
    compose = new Data(parse(text, { merge: true, maxAliasCount: 100 }));
  } catch (error) {
    throw new GuildError("invalid_argument", `${path} is no YAML: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : ""}`);
  }
  const name = data.at("service").text ?? "";
  const service = compose.at("services", name);
  if (name === "" || !service.present) {
    throw new GuildError("invalid_argument", `${path} has no service ${JSON.stringify(name)}`, {
      remedy: `name one of ${compose.at("services").keys.join(", ")} as service in ${file}`,
    });
  }
  const place = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
  const others = besideOf(compose, { name, place, only: data.at("runServices") });
  return {
    image: textOf(service.at("image")),
    build: buildOfService(service.at("build"), place),
    variables: variablesOf(service.at("environment")),
    beside: others.services,
    refused: [
      ...(named.length > 1 ? [`only the first Compose file is read, ${path}`] : []),
      ...others.refused,
      ...leftOf(name, service, TAKEN),
    ],
  };
}

/** What of the sandbox's service is taken, or has no meaning where nothing but a shell is started. */
const TAKEN = new Set(
  "image build environment command entrypoint working_dir init tty stdin_open depends_on restart networks network_mode".split(" "),
);
/** What of a service beside it is taken, or has no meaning in a network that is the sandbox's own. */
const TAKEN_BESIDE = new Set([
  ..."image build environment command entrypoint user working_dir healthcheck depends_on".split(" "),
  ..."init tty stdin_open restart networks ports expose container_name hostname profiles labels stop_grace_period".split(" "),
]);

function leftOf(name: string, service: Data, taken: ReadonlySet<string>): string[] {
  const left = service.keys.filter((key) => !taken.has(key));
  return left.length === 0 ? [] : [`not taken of the service ${name}: ${left.join(", ")}`];
}

/** Services beside the one of a name: all, or those that `runServices` names and what they depend on. */
function besideOf(compose: Data, { name, place, only }: { name: string; place: string; only: Data }) {
  const all = new Map(compose.at("services").entries);
  const wanted = only.present
    ? [...only.items.flatMap((one) => one.text ?? []), ...dependsOn(all.get(name))]
    : [...all].flatMap(([one, service]) => (service.at("profiles").items.length === 0 ? [one] : []));
  const order: string[] = [];
  const visit = (one: string, above: readonly string[]): void => {
    if (one === name || order.includes(one) || above.includes(one) || !all.has(one)) return;
    for (const first of dependsOn(all.get(one))) visit(first, [...above, one]);
    order.push(one);
  };
  for (const one of wanted) visit(one, []);
  const left = [...all.keys()].filter((one) => one !== name && !order.includes(one));
  const refused = left.length === 0 ? [] : [`services that nobody asks for are not started: ${left.join(", ")}`];
  const services = order.flatMap((one) => {
    const service = all.get(one) ?? new Data(undefined);
    if (!/^[A-Za-z0-9][\w.-]{0,60}$/.test(one)) {
      refused.push(`the service ${JSON.stringify(one).slice(0, 40)} is not started: no host can have that name`);
      return [];
    }
    refused.push(...leftOf(one, service, TAKEN_BESIDE));
    return [besideService(one, service, place)];
  });
  return { services, refused };
}

function besideService(name: string, service: Data, place: string): BesideService {
  const command = wordsOf(service.at("command"));
  const entrypoint = wordsOf(service.at("entrypoint"));
  const user = textOf(service.at("user"));
  const directory = textOf(service.at("working_dir"));
  const health = healthOf(service.at("healthcheck"));
  return {
    name,
    image: textOf(service.at("image")),
    build: buildOfService(service.at("build"), place),
    env: variablesOf(service.at("environment")),
    ...(command === undefined ? {} : { command }),
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(user === undefined ? {} : { user }),
    ...(directory === undefined ? {} : { directory }),
    ...(health === undefined ? {} : { health }),
  };
}

function dependsOn(service: Data | undefined): string[] {
  const asked = service?.at("depends_on") ?? new Data(undefined);
  return asked.items.length > 0 ? asked.items.flatMap((one) => one.text ?? []) : asked.keys;
}

function healthOf(check: Data): SandboxService["health"] {
  const test = check.at("test").text === undefined ? check.at("test").items.flatMap((one) => textOf(one) ?? []) : undefined;
  if (check.at("disable").value === true) return { test: ["NONE"] };
  if (!check.at("test").present) return undefined;
  const seconds = (key: string): number | undefined => durationOf(check.at(key).text);
  const [intervalSeconds, timeoutSeconds, startSeconds] = ["interval", "timeout", "start_period"].map(seconds);
  const retries = Number(check.at("retries").text);
  return {
    test: test ?? ["CMD-SHELL", textOf(check.at("test")) ?? "true"],
    ...(intervalSeconds === undefined ? {} : { intervalSeconds }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(startSeconds === undefined ? {} : { startSeconds }),
    ...(Number.isInteger(retries) ? { retries } : {}),
  };
}

/** `1m30s`, in seconds. */
function durationOf(text: string | undefined): number | undefined {
  const units: Record<string, number> = { us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };
  const parts = [...(text ?? "").matchAll(/(\d+(?:\.\d+)?)(us|ms|s|m|h)/g)];
  return parts.length === 0 ? undefined : parts.reduce((sum, [, value, unit = "s"]) => sum + Number(value) * (units[unit] ?? 1), 0);
}

/** A list of words, or a line that a shell would take for them. */
function wordsOf(given: Data): string[] | undefined {
  if (!given.present || given.value === null) return undefined;
  if (given.text === undefined) return given.items.flatMap((one) => textOf(one) ?? []);
  const words = interpolated(given.text).match(/(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+/g) ?? [];
  return words.map((word) =>
    word.replaceAll(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g, (_, double?: string, single?: string, bare?: string) =>
      double === undefined ? (single ?? bare ?? "") : double.replaceAll(/\\(["\\$`])/g, "$1"),
    ),
  );
}

function buildOfService(build: Data, beside: string): DevcontainerBuild | undefined {
  if (!build.present) return undefined;
  const context = resolved(beside, build.text ?? build.at("context").text ?? ".");
  return {
    context,
    dockerfile: resolved(context, build.at("dockerfile").text ?? "Dockerfile"),
    args: variablesOf(build.at("args")),
    target: build.at("target").text,
  };
}

/** A table, or a list of `NAME=value`. */
function variablesOf(data: Data): Record<string, string> {
  const pairs = data.items.flatMap((one) => /^([A-Za-z_]\w*)=(.*)$/s.exec(one.text ?? "")?.slice(1, 3) ?? []);
  const listed = Object.fromEntries(pairs.flatMap((name, at) => (at % 2 === 0 ? [[name, interpolated(pairs[at + 1] ?? "")]] : [])));
  const table = data.entries.flatMap(([name, { value }]) =>
    ["string", "number", "boolean"].includes(typeof value) && /^[A-Za-z_]\w*$/.test(name)
      ? [[name, interpolated(String(value))] as const]
      : [],
  );
  return { ...Object.fromEntries(table), ...listed };
}

function textOf(data: Data): string | undefined {
  return data.text === undefined ? undefined : interpolated(data.text);
}

/** Compose's own variables: nobody's environment is read, so their defaults; `$$` is a dollar. */
function interpolated(text: string): string {
  return text.replaceAll(/\$(?:\$|\{(\w+)(?::?-([^}]*)|[^}]*)?\}|(\w+))/g, (all, _name?: string, other: string = "") =>
    all === "$$" ? "$" : other,
  );
}
