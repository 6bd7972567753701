import type { ServiceImpl } from "@connectrpc/connect";
import { listeningPorts } from "@guildhall/agent";
import { body, type EventLog, GuildError, type Sandbox, type SessionKey } from "@guildhall/core";
import type { ConnectPortRequest, PortsService } from "@guildhall/protocol";

import { keyOf } from "../sessions/session-desk.ts";

export interface PortsServiceDeps {
  /** The sandbox of a session that runs or rests warm; undefined: there is none. */
  sandbox(session: string): Promise<Sandbox> | undefined;
  log: EventLog;
  /** Who asks. */
  actor: string;
}

/** Ports of sandboxes for people: listed, and reached one connection at a time. Every connection is a `network_decided` event. */
export function portsService(deps: PortsServiceDeps): ServiceImpl<typeof PortsService> {
  const open = async (key: SessionKey): Promise<Sandbox> => {
    await deps.log.getSession(key);
    const sandbox = deps.sandbox(key.session);
    if (sandbox !== undefined) return await sandbox;
    throw new GuildError("failed_precondition", "the session has no sandbox now", {
      subject: key.session,
      remedy: "its ports are there while it works, and for a while after: guild session send, or guild session resume",
    });
  };
  return {
    async listPorts({ sessionId }) {
      const { files } = await open(keyOf(sessionId));
      const ports = await listeningPorts(files);
      return { ports: ports.map(({ protocol, address, port }) => ({ protocol, address, port })) };
    },
    async *connectPort(requests, context) {
      const incoming = requests[Symbol.asyncIterator]();
      const first = await incoming.next();
      const start = first.done === true ? undefined : first.value.kind;
      if (start?.case !== "start") throw new GuildError("invalid_argument", "the first request says which port");
      const key = keyOf(start.value.sessionId);
      const { port } = start.value;
      if (port < 1 || port > 65_535) throw new GuildError("invalid_argument", `${port} is no port`);
      const sandbox = await open(key);
      const decide = (allowed: boolean, reason: string) =>
        deps.log.appendInput(key, deps.actor, [
          body.networkDecided({
            decisions: [
              {
                allowed,
                reason,
                rule: "guild session forward",
                host: "localhost",
                port,
                method: "FORWARD",
                path: "",
                secrets: [],
                count: 1,
              },
            ],
          }),
        ]);
      const stream = await sandbox.connect(port).catch(async (error: unknown) => {
        const own = GuildError.from(error);
        await decide(false, own.message);
        throw new GuildError("unavailable", `nothing answers on port ${port} of the sandbox`, {
          subject: key.session,
          remedy: `guild session ports ${key.session} shows what is listened on`,
          cause: error,
        });
      });
      try {
        await decide(true, "asked for by a person");
        const sending = send(incoming, stream);
        // What cannot be sent any more shows in what comes back: the connection is over.
        sending.catch(() => stream.close());
        // Who has gone need not be told that its end failed; `finally` tries again.
        context.signal.addEventListener("abort", () => void stream.close().catch(() => undefined), { once: true });
        yield { bytes: new Uint8Array() };
        for await (const bytes of stream.readable) yield { bytes };
      } finally {
        await stream.close();
      }
    },
  };
}

async function send(incoming: AsyncIterator<ConnectPortRequest>, stream: Awaited<ReturnType<Sandbox["connect"]>>): Promise<void> {
  for (;;) {
    const next = await incoming.next();
    if (next.done === true) return;
    if (next.value.kind.case === "bytes") await stream.write(next.value.kind.value);
  }
}
