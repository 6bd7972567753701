/**
 * The program of Chroma's process, in a network of its own: a thread runs Chroma's server on that network's loopback, and this one carries what comes over the Unix socket there. Arguments:
 * the binding, the directory of the data, the socket.
 */
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const PORT = 8_000;

if (isMainThread) {
  const [binding = "", directory = "", socket = ""] = process.argv.slice(2);
  const server = new Worker(new URL(import.meta.url), { workerData: { binding, directory }, stdout: true });
  server.on("error", () => process.exit(1));
  server.on("exit", () => process.exit(1));
  // Whoever started us is gone. The thread does not let itself be ended, and what Chroma has acknowledged is written.
  process.stdin.on("close", () => process.kill(process.pid, "SIGKILL")).resume();
  createServer((near) => {
    const far = connect(PORT, "127.0.0.1");
    near.on("error", () => far.destroy());
    far.on("error", () => near.destroy());
    near.pipe(far).pipe(near);
  }).listen(socket);
} else {
  const { binding, directory } = workerData as { binding: string; directory: string };
  const { cli } = createRequire(import.meta.url)(binding) as { cli(args: string[]): void };
  cli(["chroma", "run", "--path", directory, "--host", "127.0.0.1", "--port", String(PORT)]);
}
