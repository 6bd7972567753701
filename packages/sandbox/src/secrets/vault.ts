import { GuildError, type Secrets } from "@guildhall/core";

import { checkSecret } from "./valid-secret.ts";

export interface VaultOptions {
  /** `https://vault.example.com`. */
  address: string;
  token: string;
  /** Mount of a KV version 2 engine and the path below it. */
  mount: string;
  path: string;
  fetch?: typeof fetch;
  /** Give up after this many milliseconds. Default 10,000. */
  timeoutMs?: number;
}

/**
 * Secrets as the keys of one entry in a Vault-compatible server (KV version 2 HTTP API). Writes use check-and-set, so that two writers lose nothing:
 * the later one gets `failed_precondition`. Throws `unauthenticated`, `permission_denied`, `unavailable`.
 */
export function vaultSecrets(options: VaultOptions): Secrets {
  const url = new URL(`/v1/${options.mount}/data/${options.path}`, options.address).href;

  async function call(method: "GET" | "POST", body?: unknown): Promise<Response> {
    const signal = AbortSignal.timeout(options.timeoutMs ?? 10_000);
    try {
      return await (options.fetch ?? fetch)(url, {
        method,
        headers: { "x-vault-token": options.token, "content-type": "application/json" },
        signal,
        redirect: "error",
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw new GuildError("unavailable", "the vault does not answer", {
        subject: options.address,
        remedy: "check its address and that it is unsealed",
        cause: error,
      });
    }
  }

  async function load(): Promise<{ secrets: Record<string, string>; version: number }> {
    const response = await call("GET");
    if (response.status === 404) return { secrets: {}, version: 0 };
    await check(response, options.address);
    const { data } = (await response.json()) as { data: { data: Record<string, string>; metadata: { version: number } } };
    return { secrets: data.data, version: data.metadata.version };
  }

  async function store(secrets: Record<string, string>, version: number): Promise<void> {
    const response = await call("POST", { data: secrets, options: { cas: version } });
    if (response.status === 400)
      throw new GuildError("failed_precondition", "the vault's entry was changed by somebody else", {
        subject: options.path,
        remedy: "try again",
      });
    await check(response, options.address);
  }

  return {
    get: async (name) => (await load()).secrets[name],
    names: async () => Object.keys((await load()).secrets).toSorted(),
    async set(name, value) {
      checkSecret(name, value);
      const { secrets, version } = await load();
      await store({ ...secrets, [name]: value }, version);
    },
    async delete(name) {
      const { secrets, version } = await load();
      if (!(name in secrets)) return;
      await store(Object.fromEntries(Object.entries(secrets).filter(([key]) => key !== name)), version);
    },
  };
}

async function check(response: Response, address: string): Promise<void> {
  if (response.ok) return;
  await response.body?.cancel();
  const remedy = "check the token and its policy";
  if (response.status === 401) throw new GuildError("unauthenticated", "the vault does not know the token", { subject: address, remedy });
  if (response.status === 403) throw new GuildError("permission_denied", "the vault refuses the token", { subject: address, remedy });
  throw new GuildError("unavailable", `the vault answers ${response.status}`, {
    subject: address,
    remedy: "check that it is unsealed and the mount exists",
  });
}
