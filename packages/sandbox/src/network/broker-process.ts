import { lookup } from "node:dns/promises";
import type { Server } from "node:net";
import { getCACertificates } from "node:tls";

import { GuildError } from "@guildhall/core";

import type { FromBroker, ToBroker, WayOutRules } from "./broker-messages.ts";
import { createSessionAuthority } from "./certificates.ts";
import { type NetworkProxy, startNetworkProxy } from "./proxy.ts";

/** The daemon's end of the pipe, as a child process sees it: `process` itself. */
export interface BrokerChannel {
  send?(message: FromBroker): unknown;
  on(event: "message", listener: (message: ToBroker, handle: unknown) => void): unknown;
  on(event: "disconnect", listener: () => void): unknown;
  getuid?(): number;
  setgroups?(groups: number[]): void;
  setgid?(gid: number): void;
  setuid?(uid: number): void;
}

/**
 * The broker's program: everything that leaves sandboxes goes through here, and the real values of secrets are here and in the daemon only.
 * It opens no file and no listening socket of its own; after `start` it has the user's rights that it was told to take and none above.
 * Resolves when the daemon has gone.
 */
export function runBroker(channel: BrokerChannel): Promise<void> {
  const open = new Map<string, { rules: WayOutRules; proxy: NetworkProxy }>();

  async function handle(message: ToBroker, handed: unknown): Promise<string | undefined> {
    switch (message.op) {
      case "start":
        await start(channel, message.user);
        return undefined;
      case "open": {
        const authority = await createSessionAuthority("Guildhall session", new Date());
        const own = { rules: message.rules };
        const proxy = await startNetworkProxy({
          listen: handed as Server,
          authority,
          layers: () => own.rules.layers,
          limits: message.rules.limits,
          resolve: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
          secrets: { grants: () => own.rules.grants, value: (name) => own.rules.values[name] },
          report: (decision) => channel.send?.({ op: "decision", wayOut: message.wayOut, decision }),
        });
        open.set(message.wayOut, Object.assign(own, { proxy }));
        return authority.certificate;
      }
      case "change": {
        const own = open.get(message.wayOut);
        if (own !== undefined) own.rules = message.rules;
        return undefined;
      }
      case "settle":
        return undefined;
      case "close": {
        const own = open.get(message.wayOut);
        open.delete(message.wayOut);
        await own?.proxy.close();
        return undefined;
      }
      default:
        return message satisfies never;
    }
  }

  return new Promise((resolve) => {
    channel.on("message", (message, handed) => {
      handle(message, handed).then(
        (certificate) => channel.send?.({ id: message.id, op: "done", ...(certificate === undefined ? {} : { certificate }) }),
        (error: unknown) => channel.send?.({ id: message.id, op: "failed", message: GuildError.from(error).line }),
      );
    });
    channel.on("disconnect", resolve);
  });
}

async function start(channel: BrokerChannel, user: { uid: number; gid: number } | undefined): Promise<void> {
  // Read while its files can be: the user to come may not enter the directory of the program.
  await createSessionAuthority("first", new Date());
  getCACertificates("default");
  if (user === undefined) return;
  channel.setgroups?.([]);
  channel.setgid?.(user.gid);
  channel.setuid?.(user.uid);
  if (channel.getuid?.() !== user.uid) throw new GuildError("permission_denied", `the broker could not become user ${user.uid}`);
}
