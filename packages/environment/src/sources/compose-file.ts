import { GuildError, type ProjectFiles, type SandboxService, type SandboxVolume } from "@guildhall/core";

import { Data } from "../project/read-data.ts";
import { composeModel, type ComposeModel } from "./compose-model.ts";
import { durationOf, readVariables, splitWords } from "./compose-text.ts";
import { type ComposeVolumes, volumesOf } from "./compose-volumes.ts";
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
  volumes: readonly SandboxVolume[];
  /** Those that others depend on first. */
  beside: readonly BesideService[];
  /** What it asks for and does not get: one line each. */
  refused: string[];
}

/**
 * The service of the Compose files that devcontainer.json names, the later over the earlier; undefined: it names none. Throws `invalid_argument`,
 * `permission_denied` for a file that nobody has trusted.
 */
export async function composeService(data: Data, file: string, files: ProjectFiles): Promise<ComposeService | undefined> {
  const given = data.at("dockerComposeFile");
  const named = given.text === undefined ? given.items.flatMap((one) => one.text ?? []) : [given.text];
  const paths = named.map((one) => resolved(placeOf(file), one));
  if (paths.length === 0) return undefined;
  const model = await composeModel(paths, files);
  const { compose } = model;
  const name = data.at("service").text ?? "";
  const service = compose.at("services", name);
  if (name === "" || !service.present) {
    throw new GuildError("invalid_argument", `${paths.join(", ")} has no service ${JSON.stringify(name)}`, {
      remedy: `name one of ${compose.at("services").keys.join(", ")} as service in ${file}`,
    });
  }
  const project = new ComposeProject(model, files, data.at("workspaceFolder").text);
  const own = await project.common(name, service, true);
  const others = await project.beside(name, data.at("runServices"));
  return {
    image: service.at("image").text,
    build: project.buildOf(name, service.at("build")),
    variables: own.env,
    volumes: own.volumes,
    beside: others.services,
    refused: [
      ...model.refused,
      ...own.refused,
      ...own.temporary.map((at) => `the service ${name} does not get ${at}: memory is at /tmp`),
      ...others.refused,
      ...leftOf(`the service ${name}`, service, TAKEN),
      ...leftOf("the Compose files", compose, TAKEN_AT_TOP),
    ],
  };
}

function placeOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

/** What of the sandbox's service is taken, or has no meaning where nothing but a shell is started. */
const TAKEN = new Set([
  ..."image build environment env_file volumes tmpfs command entrypoint working_dir init tty stdin_open".split(" "),
  ..."depends_on restart networks network_mode labels container_name hostname".split(" "),
]);
/** What of a service beside it is taken, or has no meaning in a network that is the sandbox's own. */
const TAKEN_BESIDE = new Set([
  ..."image build environment env_file volumes tmpfs command entrypoint user working_dir healthcheck depends_on".split(" "),
  ..."init tty stdin_open restart networks ports expose container_name hostname profiles labels stop_grace_period".split(" "),
]);

const TAKEN_AT_TOP = new Set(["services", "volumes", "networks", "name", "version"]);

function leftOf(what: string, data: Data, taken: ReadonlySet<string>): string[] {
  const left = data.keys.filter((key) => !taken.has(key) && !key.startsWith("x-"));
  return left.length === 0 ? [] : [`not taken of ${what}: ${left.join(", ")}`];
}

/** A Compose project as its files have it together. */
class ComposeProject {
  readonly #model: ComposeModel;
  readonly #files: ProjectFiles;
  readonly #workspaceFolder: string | undefined;

  constructor(model: ComposeModel, files: ProjectFiles, workspaceFolder: string | undefined) {
    this.#model = model;
    this.#files = files;
    this.#workspaceFolder = workspaceFolder;
  }

  /** What the sandbox's own service and those beside it have alike. */
  async common(name: string, service: Data, own: boolean): Promise<ComposeVolumes & { env: Record<string, string> }> {
    const { compose, place } = this.#model;
    const workspaceFolder = own ? this.#workspaceFolder : undefined;
    const volumes = await volumesOf(service, { name, own, workspaceFolder, declared: compose.at("volumes"), place, files: this.#files });
    const { env, refused } = await this.#environmentFiles(name, service.at("env_file"));
    return { ...volumes, env: { ...env, ...this.#tableOf(name, service.at("environment")) }, refused: [...volumes.refused, ...refused] };
  }

  /** Services beside the one of a name: all, or those that `runServices` names and what they depend on. */
  async beside(name: string, only: Data): Promise<{ services: BesideService[]; refused: string[] }> {
    const all = new Map(this.#model.compose.at("services").entries);
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
    const services: BesideService[] = [];
    for (const one of order) {
      const service = all.get(one) ?? new Data(undefined);
      if (!/^[A-Za-z0-9][\w.-]{0,60}$/.test(one)) {
        refused.push(`the service ${JSON.stringify(one).slice(0, 40)} is not started: no host can have that name`);
        continue;
      }
      const { env, volumes, temporary, files, refused: lines } = await this.common(one, service, false);
      refused.push(...lines, ...leftOf(`the service ${one}`, service, TAKEN_BESIDE));
      services.push({
        ...this.#program(one, service),
        env,
        ...(volumes.length === 0 ? {} : { volumes }),
        ...(temporary.length === 0 ? {} : { temporary }),
        ...(files.length === 0 ? {} : { files }),
      });
    }
    return { services, refused };
  }

  buildOf(service: string, build: Data): DevcontainerBuild | undefined {
    if (!build.present) return undefined;
    const context = resolved(this.#model.place, build.text ?? build.at("context").text ?? ".");
    return {
      context,
      dockerfile: resolved(context, build.at("dockerfile").text ?? "Dockerfile"),
      args: this.#tableOf(service, build.at("args")),
      target: build.at("target").text,
    };
  }

  #program(name: string, service: Data): Omit<BesideService, "env"> {
    const command = this.#wordsOf(service.at("command"));
    const entrypoint = this.#wordsOf(service.at("entrypoint"));
    const user = service.at("user").text;
    const directory = service.at("working_dir").text;
    const health = this.#healthOf(service.at("healthcheck"));
    return {
      name,
      image: service.at("image").text,
      build: this.buildOf(name, service.at("build")),
      ...(command === undefined ? {} : { command }),
      ...(entrypoint === undefined ? {} : { entrypoint }),
      ...(user === undefined ? {} : { user }),
      ...(directory === undefined ? {} : { directory }),
      ...(health === undefined ? {} : { health }),
    };
  }

  /** `env_file`: a path, or several, each with whether it must be there and how it is read. A later one comes first, `environment` before them all. */
  async #environmentFiles(name: string, given: Data): Promise<{ env: Record<string, string>; refused: string[] }> {
    const env: Record<string, string> = {};
    const refused: string[] = [];
    for (const one of given.items.length > 0 ? given.items : given.present ? [given] : []) {
      const path = one.text ?? one.at("path").text ?? "";
      try {
        const text = await trustedText(this.#files, resolved(this.#model.place, path));
        Object.assign(env, readVariables(text, this.#model.variablesOf(name), one.at("format").text === "raw"));
      } catch (error) {
        const own = GuildError.from(error);
        if (own.code === "not_found" && one.at("required").value === false) continue;
        refused.push(`the service ${name} goes without the variables of ${path}: ${own.line}`);
      }
    }
    return { env, refused };
  }

  #healthOf(check: Data): SandboxService["health"] {
    const test = check.at("test").text === undefined ? check.at("test").items.flatMap(({ text }) => text ?? []) : undefined;
    if (check.at("disable").value === true) return { test: ["NONE"] };
    if (!check.at("test").present) return undefined;
    const seconds = (key: string): number | undefined => durationOf(check.at(key).text);
    const [intervalSeconds, timeoutSeconds, startSeconds] = ["interval", "timeout", "start_period"].map(seconds);
    const retries = Number(check.at("retries").text);
    return {
      test: test ?? ["CMD-SHELL", check.at("test").text ?? "true"],
      ...(intervalSeconds === undefined ? {} : { intervalSeconds }),
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
      ...(startSeconds === undefined ? {} : { startSeconds }),
      ...(Number.isInteger(retries) ? { retries } : {}),
    };
  }

  /** A list of words, or a line that a shell would take for them. */
  #wordsOf(given: Data): string[] | undefined {
    if (!given.present || given.value === null) return undefined;
    if (given.text === undefined) return given.items.flatMap(({ text }) => text ?? []);
    return splitWords(given.text);
  }

  /** A table, or a list of `NAME=value`. A name without a value would be the caller's own variable: it is that of `.env`, or none. */
  #tableOf(service: string, data: Data): Record<string, string> {
    const pairs = data.items.map((one) => /^([^=]+)(?:=(.*))?$/s.exec(one.text ?? ""));
    const listed = pairs.flatMap((pair) => (pair === null ? [] : [[pair[1] ?? "", pair[2]] as const]));
    const table = data.entries.flatMap(([name, { value }]): Array<readonly [string, string | undefined]> => {
      if (value === null) return [[name, undefined]];
      return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? [[name, String(value)]] : [];
    });
    return Object.fromEntries(
      [...table, ...listed].flatMap(([name, value]) => {
        const text = value ?? this.#model.variablesOf(service)[name];
        return text === undefined || !/^[A-Za-z_]\w*$/.test(name) ? [] : [[name, text]];
      }),
    );
  }
}

function dependsOn(service: Data | undefined): string[] {
  const asked = service?.at("depends_on") ?? new Data(undefined);
  return asked.items.length > 0 ? asked.items.flatMap((one) => one.text ?? []) : asked.keys;
}
