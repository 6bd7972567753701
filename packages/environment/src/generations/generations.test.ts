import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";

import type { Environment } from "@guildhall/core";

import { Generations } from "./generations.ts";

it("a generation is read again, with whatever an environment can have, by the next process", (test) => {
  const directory = mkdtempSync(join(tmpdir(), "guild-generations-"));
  test.after(() => rmSync(directory, { recursive: true }));
  const all = (): Generations => new Generations({ directory, now: () => new Date(0) });
  const environment: Required<Environment> = {
    kind: "devcontainer",
    source: "devcontainer.json",
    reason: "it is there",
    hash: "sha256:1",
    generation: 1,
    variables: { A: "1" },
    path: ["/x"],
    pure: false,
    mounts: [{ source: "/a", at: "/b" }],
    shellHook: "true",
    setup: [{ name: "postCreateCommand", argv: ["npm", "ci"] }],
    image: "sha256:2",
    services: [
      {
        name: "db",
        image: "sha256:3",
        env: { B: "2" },
        command: ["run"],
        entrypoint: ["in"],
        user: "me",
        directory: "/d",
        health: { test: ["CMD", "ready"], intervalSeconds: 0.5, timeoutSeconds: 1, startSeconds: 2, retries: 3 },
        volumes: [{ name: "data", at: "/data", readOnly: true }],
        temporary: ["/t"],
        files: [{ at: "/f", text: "x", mode: 0o644 }],
      },
    ],
    volumes: [{ name: "data", at: "/data" }],
    roots: ["/r"],
    tools: [{ name: "node", version: "1", path: "/n", wanted: "1", wantedBy: ".nvmrc" }],
    differences: ["none"],
  };
  all().add("p", environment, "first");
  assert.deepEqual(all().current("p")?.environment, environment);
  assert.equal(all().add("p", { ...environment, hash: "sha256:9" }, "changed").number, 2);
  assert.equal(all().rollBack("p").environment.hash, "sha256:1");
});
