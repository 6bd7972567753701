import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { environmentSourceContract } from "@guildhall/core/testing";

import { hostFiles } from "../project/host-files.ts";
import type { BuildFiles } from "./devcontainer-features.ts";
import { devcontainerSource, type SandboxImages } from "./devcontainer-source.ts";

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
  "features": { "ghcr.io/devcontainers/features/node:1": {}, "./greet": { "version": "2" } },
  "remoteEnv": { "ROOT": "\${containerWorkspaceFolder}/src", "PATH": "/x:\${containerEnv:PATH}", "ME": "\${localEnv:NOBODY:somebody}" },
  "remoteUser": "vscode",
  "mounts": ["source=/,target=/host,type=bind"],
  "postStartCommand": { "one": "true", "two": ["npm", "start"] },
  "postCreateCommand": ["npm", "ci"],
}`;
const built: BuildFiles[] = [];
const images: SandboxImages = {
  facts: async (name) =>
    name.startsWith("none") ? undefined : { id: `sha256:${name}`, platform: "linux/amd64", env: { PATH: "/usr/bin" } },
  build: async (from) => {
    built.push(from);
    return "built:1";
  },
};
const source = (changes: Partial<Parameters<typeof devcontainerSource>[0]> = {}) =>
  devcontainerSource({ images, platform: "linux/amd64", ...changes });
const resolve = (of: ReturnType<typeof project>, from = source()) =>
  from.resolve({ ...of, signal: new AbortController().signal, progress: () => undefined });
const withFeature = (content = text) => {
  const of = project(content);
  const directory = join(of.workspace, ".devcontainer/greet");
  mkdirSync(directory);
  writeFileSync(join(directory, "install.sh"), "#!/bin/sh\n");
  const about = { options: { version: { default: "1" }, mode: { default: "it's" } }, containerEnv: { GREETS: "yes" } };
  writeFileSync(join(directory, "devcontainer-feature.json"), JSON.stringify(about));
  return of;
};

environmentSourceContract("devcontainer.json", async () => ({ source: source(), claimed: withFeature(), other: project() }));

describe("a devcontainer.json", () => {
  it("gives its image with its own features, variables and lifecycle, and says what of it cannot be had", async () => {
    built.length = 0;
    const of = withFeature();
    const found = await resolve(of);
    assert.deepEqual([found.image, found.variables, found.path], ["built:1", { ROOT: `${of.workspace}/src`, ME: "somebody" }, ["/x"]]);
    assert.deepEqual(found.setup, [
      { name: "postCreateCommand", argv: ["npm", "ci"] },
      { name: "postStartCommand one", argv: ["/bin/sh", "-c", "true"] },
      { name: "postStartCommand two", argv: ["npm", "start"] },
    ]);
    assert.deepEqual(found.differences, [
      "not taken of .devcontainer/devcontainer.json: mounts",
      ".devcontainer/devcontainer.json asks for the user vscode: commands run as the sandbox's own",
      "features of a registry are not fetched: ghcr.io/devcontainers/features/node:1",
    ]);
    const dockerfile = built[0]?.dockerfile ?? "";
    assert.match(
      dockerfile,
      /^FROM sha256:debian:12\nCOPY f0\/ .*\nRUN cd .* && VERSION='2' MODE='it'\\''s' .*\.\/install\.sh\nENV GREETS="yes"\n$/,
    );
    assert.deepEqual(
      built[0]?.files.map(({ path, mode }) => [path, mode]),
      [
        ["f0/devcontainer-feature.json", 0o644],
        ["f0/install.sh", 0o755],
      ],
    );
  });

  it("is refused in one line with what to do when it cannot be had", async () => {
    await assert.rejects(resolve(withFeature(), source({ images: undefined })), /asks for the image debian:12/);
    await assert.rejects(resolve(project('{"image": "none:1"}')), /the Docker engine has no image none:1/);
    const here = source({ platform: "linux/arm64" });
    await assert.rejects(resolve(project('{"image": "a"}'), here), /is for linux\/amd64, and this machine is linux\/arm64/);
    await assert.rejects(resolve(project('{"image": "a", "runArgs": ["--platform", "linux/s390x"]}')), /is for linux\/s390x/);
    await assert.rejects(resolve(project('{"image": "a", "features": {"./gone": {}}}')), /the feature \.\/gone has no install\.sh/);
    await assert.rejects(resolve(project('{"build": {"dockerfile": "x"}}')), /builds its own image/);
    await assert.rejects(resolve(project("{")), /is no JSON/);
    await assert.rejects(resolve(project("{}")), /neither an image/);
    await assert.rejects(resolve({ ...project(text), trusted: false }), /is not trusted/);
  });
});
