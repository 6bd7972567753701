/** An upstream and a proxy in front of it, as a child of the benchmark: says where over IPC. */
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { callbackify } from "node:util";

import { createSessionAuthority, startNetworkProxy } from "@guildhall/sandbox";

const [socketPath = ""] = process.argv.slice(2);
const world = await createSessionAuthority("The world", new Date());
const session = await createSessionAuthority("Session", new Date());
const block = Buffer.alloc(1_000_000, "x");
const upstream = createServer({ SNICallback: (name, done) => callbackify(() => world.contextFor(name))(done) }, (message, response) => {
  const megabytes = Number(/^\/bytes\/(\d+)$/.exec(message.url ?? "")?.[1] ?? 0);
  let left = megabytes;
  const write = (): void => {
    while (left > 0) {
      left -= 1;
      if (!response.write(block)) return void response.once("drain", write);
    }
    response.end("hello");
  };
  write();
});
upstream.listen(0, "127.0.0.1");
await once(upstream, "listening");
const { port } = upstream.address() as AddressInfo;
await startNetworkProxy({
  listen: socketPath,
  authority: session,
  layers: () => [[{ id: "all", host: "api.example.com" }]],
  resolve: async () => ["93.184.216.34"],
  report: () => undefined,
  limits: { requestsPerMinute: 1e9 },
  testing: { dial: () => ({ host: "127.0.0.1", port }), ca: world.certificate },
});
process.send?.({ port, world: world.certificate, session: session.certificate });
