import { spawn } from "node:child_process";

import { GuildError, type Secrets } from "@guildhall/core";

import { checkSecret, isSecretName } from "./valid-secret.ts";

export interface KeyringOptions {
  /** Whole environment of `secret-tool`: by it the session's bus, and so its keyring, is found. */
  env: Readonly<Record<string, string>>;
  /** Give up after this many milliseconds: somebody may have to type the keyring's password. Default 60,000. */
  timeoutMs?: number;
}

/**
 * Secrets in the operating system's keyring: what answers to the freedesktop.org Secret Service interface (GNOME Keyring, KWallet, KeePassXC),
 * by libsecret's `secret-tool`. Each is an entry of its own with the attributes `application=guildhall` and `name`, its value in base64, so
 * that it comes back to the letter. Values travel by standard input and output alone. Throws `failed_precondition` when there is no
 * `secret-tool`, `unavailable` when no keyring answers.
 */
export function keyringSecrets(options: KeyringOptions): Secrets {
  const run = (args: readonly string[], input?: string): Promise<Outcome> => secretTool(args, options, input);
  return {
    async get(name) {
      const { code, output, complaint } = await run(["lookup", ...attributes(name)]);
      if (code === 0) return Buffer.from(output, "base64").toString("utf8");
      if (complaint === "") return undefined;
      throw unanswered(complaint);
    },
    async set(name, value) {
      checkSecret(name, value);
      const stored = await run(["store", `--label=Guildhall: ${name}`, ...attributes(name)], Buffer.from(value).toString("base64"));
      if (stored.code !== 0) throw unanswered(stored.complaint);
    },
    async delete(name) {
      const { code, complaint } = await run(["clear", ...attributes(name)]);
      if (code !== 0 && complaint !== "") throw unanswered(complaint);
    },
    async names() {
      // Values go to standard output, which is not looked at; attributes to the other.
      const { code, complaint } = await run(["search", "--all", "--unlock", ...APPLICATION]);
      const names = [...complaint.matchAll(/^attribute\.name = (.*)$/gm)].map(([, name = ""]) => name);
      if (code !== 0 && names.length === 0 && complaint !== "") throw unanswered(complaint);
      return [...new Set(names.filter(isSecretName))].toSorted();
    },
  };
}

const APPLICATION = ["application", "guildhall"];

function attributes(name: string): string[] {
  return [...APPLICATION, "name", name];
}

interface Outcome {
  code: number | null;
  output: string;
  complaint: string;
}

function secretTool(args: readonly string[], options: KeyringOptions, input = ""): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn("secret-tool", args, { env: options.env, cwd: "/" });
    const timer = setTimeout(() => child.kill(), options.timeoutMs ?? 60_000);
    let [output, complaint] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => void (output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => void (complaint += text));
    child.on("error", (error) => {
      clearTimeout(timer);
      const missing = "code" in error && error.code === "ENOENT";
      reject(
        new GuildError("failed_precondition", missing ? "there is no secret-tool" : "secret-tool cannot be run", {
          subject: "secrets.store",
          remedy: "install libsecret-tools (Debian) or libsecret, or use the store `file`",
          cause: error,
        }),
      );
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (signal === null) resolve({ code, output, complaint });
      else reject(unanswered("nobody unlocked it in time"));
    });
    // One that has ended already reads nothing; its exit code tells.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

function unanswered(complaint: string): GuildError {
  const [reason = ""] = complaint
    .split("\n")
    .map((line) => line.replace(/^secret-tool: /, "").trim())
    .filter((line) => line !== "");
  return new GuildError("unavailable", `no keyring answers: ${reason === "" ? "secret-tool failed" : reason}`, {
    subject: "secrets.store",
    remedy: "unlock it and start the daemon in that session (guild down first), or use the store `file`",
  });
}
