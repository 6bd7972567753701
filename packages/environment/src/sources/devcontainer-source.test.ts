import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { environmentSourceContract } from "@guildhall/core/testing";

import { hostFiles } from "../project/host-files.ts";
import { devcontainerSource } from "./devcontainer-source.ts";

const made: string[] = [];
after(() => {
  for (const directory of made) rmSync(directory, { recursive: true });
});

function project(text?: string) {
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), "guild-devcontainer-")));
  made.push(workspace);
  mkdirSync(join(workspace, ".devcontainer"));
  if (text !== undefined) writeFileSync(join(workspace, ".devcontainer/devcontainer.json"), text);
  return { workspace, files: hostFiles(workspace), facts: { ecosystems: [], services: [], declared: [], problems: [] }, trusted: true };
}

const text = `{
  // the image
  "image": "debian:12",
  "features": { "ghcr.io/devcontainers/features/node:1": {} },
  "remoteEnv": { "ROOT": "\${containerWorkspaceFolder}/src", "PATH": "/x" },
  "postCreateCommand": ["npm", "ci"],
}`;
const source = (provider = "docker", image = "debian:12") => devcontainerSource({ sandbox: { provider, image } });
const resolve = (of: ReturnType<typeof project>, from = source()) =>
  from.resolve({ ...of, signal: new AbortController().signal, progress: () => undefined });

environmentSourceContract("devcontainer.json", async () => ({ source: source(), claimed: project(text), other: project() }));

describe("a devcontainer.json", () => {
  it("gives its variables, and says what of it is not done", async () => {
    const of = project(text);
    const found = await resolve(of);
    assert.deepEqual(found.variables, { ROOT: `${of.workspace}/src` });
    assert.deepEqual(found.differences, [
      "features are not added to the image: ghcr.io/devcontainers/features/node:1",
      "lifecycle commands are not run by themselves: postCreateCommand: npm ci",
    ]);
  });

  it("is refused in one line with what to do when it cannot be had", async () => {
    await assert.rejects(resolve(project(text), source("bubblewrap", "")), /asks for the image debian:12/);
    await assert.rejects(resolve(project('{"build": {"dockerfile": "x"}}')), /builds its own image/);
    await assert.rejects(resolve(project("{")), /is no JSON/);
    await assert.rejects(resolve(project("{}")), /neither an image/);
    await assert.rejects(resolve({ ...project(text), trusted: false }), /is not trusted/);
  });
});
