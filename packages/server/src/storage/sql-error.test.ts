import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, it } from "node:test";

import pg from "pg";

import { storageError } from "./sql-error.ts";

describe("an error of the database", () => {
  it("is a lost connection where the server never answered", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
    try {
      await once(silent, "listening");
      const { port } = silent.address() as { port: number };
      const client = new pg.Client({ host: "127.0.0.1", port, user: "ada", connectionTimeoutMillis: 50 });
      await assert.rejects(client.connect(), (error) => storageError(error).code === "unavailable");
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });
});
