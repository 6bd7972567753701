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
  "mounts": ["source=/,target=/host,type=bind", "source=\${localWorkspaceFolderBasename}-deps,target=\${containerWorkspaceFolder}/deps,type=volume", { "type": "volume", "source": "c", "target": "/cache" }, "source=g,target=\${containerWorkspaceFolder}/.git,type=volume"],
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
    assert.deepEqual(found.volumes, [
      { name: "deps", at: "deps" },
      { name: "c", at: "/cache" },
    ]);
    assert.deepEqual(found.setup, [
      { name: "postCreateCommand", argv: ["npm", "ci"] },
      { name: "postStartCommand one", argv: ["/bin/sh", "-c", "true"] },
      { name: "postStartCommand two", argv: ["npm", "start"] },
    ]);
    assert.deepEqual(found.differences, [
      "the mount / at /host of .devcontainer/devcontainer.json is not taken: only volumes are given",
      "the mount g at ${containerWorkspaceFolder}/.git of .devcontainer/devcontainer.json is not taken: nothing can be put there",
      ".devcontainer/devcontainer.json asks for the user vscode: commands run as the sandbox's own",
      "features of registries that environment.feature_registries does not name: ghcr.io/devcontainers/features/node:1",
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
    await assert.rejects(resolve(project('{"build": {"dockerfile": "x"}}')), /there is no \.devcontainer\/x/);
    await assert.rejects(resolve(project('{"build": {"dockerfile": "../Dockerfile"}}')), /Dockerfile lies outside \.devcontainer/);
    await assert.rejects(resolve(project('{"build": {"dockerfile": "../../x"}}')), /leads out of the project/);
    await assert.rejects(resolve(project('{"dockerComposeFile": "../compose.yaml", "service": "a"}')), /compose\.yaml lies outside/);
    await assert.rejects(resolve(project("{")), /is no JSON/);
    await assert.rejects(resolve(project("{}")), /neither an image/);
    await assert.rejects(resolve({ ...project(text), trusted: false }), /is not trusted/);
  });
});

describe("a devcontainer.json whose image is built", () => {
  const withFiles = (content: object, files: Readonly<Record<string, string>>) => {
    const of = project(JSON.stringify(content));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(of.workspace, ".devcontainer", name), text);
    built.length = 0;
    return of;
  };

  it("by a Dockerfile: from images that are there, with its arguments and the files that were trusted with it", async () => {
    const dockerfile = "ARG BASE=none\nFROM ${BASE} AS one\nCOPY tool.sh /tool.sh\nFROM one\nCOPY --from=one /tool.sh /\n";
    const asked = { build: { dockerfile: "Dockerfile", args: { BASE: "small:1" }, target: "one" }, initializeCommand: "rm -rf /" };
    const of = withFiles(asked, { Dockerfile: dockerfile, "tool.sh": "#!/bin/sh\n" });
    writeFileSync(join(of.workspace, "secret"), "x");
    const found = await resolve(of);
    assert.equal(found.image, "sha256:built:1");
    assert.deepEqual([built[0]?.dockerfile, built[0]?.args, built[0]?.target], [dockerfile, { BASE: "small:1" }, "one"]);
    assert.deepEqual(
      built[0]?.files.map(({ path, mode }) => [path, mode]),
      [
        ["devcontainer.json", 0o644],
        ["tool.sh", 0o755],
      ],
    );
    assert.match(found.differences.join("\n"), /initializeCommand would run on this machine, outside of the sandbox: it is not run/);
    await assert.rejects(resolve(withFiles(asked, { Dockerfile: "FROM none:2\n" })), /the Docker engine has no image none:2/);
    await assert.rejects(resolve(withFiles(asked, { Dockerfile: "FROM a\nCOPY --from=none:3 / /\n" })), /has no image none:3/);
    await assert.rejects(resolve(withFiles(asked, { Dockerfile: "FROM a\nADD https://x.test/y /\n" })), /adds a file of the network/);
  });

  it("by a service of a Compose file: its image or build and its variables; the others run beside it, or it is told why not", async () => {
    const compose = "services:\n  app:\n    image: small:1\n    environment: [A=1, B=two]\n    ports: ['80:80']\n  db:\n    image: pg\n";
    const asked = { dockerComposeFile: "compose.yaml", service: "app", containerEnv: { B: "2" } };
    const found = await resolve(withFiles(asked, { "compose.yaml": compose }));
    assert.deepEqual([found.image, found.variables], ["sha256:small:1", { A: "1", B: "2" }]);
    assert.deepEqual(found.differences, ["not taken of the service app: ports"]);
    assert.deepEqual(found.services, [{ name: "db", image: "sha256:pg", env: {} }]);
    const building = "services:\n  app:\n    build: { context: ., dockerfile: D, args: { X: 1 } }\n";
    await resolve(withFiles(asked, { "compose.yaml": building, D: "FROM a\n" }));
    assert.deepEqual([built[0]?.dockerfile, built[0]?.args], ["FROM a\n", { X: "1" }]);
    const many = `services:
  app: { image: "small:1", depends_on: [web] }
  web:
    image: "web:1"
    depends_on: { db: { condition: service_healthy } }
    command: serve "--as \\"me\\"" 'a b' $$\{X}
    ports: ["80:80"]
  db:
    image: "pg:\${TAG:-16}"
    environment: { POSTGRES_PASSWORD: "\${SECRET:-none}" }
    healthcheck: { test: pg_isready, interval: 1m30s, timeout: 500ms, retries: 3 }
    volumes: ["data:/var/lib"]
  gone: { image: "none:1" }
  tools: { image: "tools:1", profiles: [debug] }
`;
    const beside = await resolve(withFiles(asked, { "compose.yaml": many }));
    assert.deepEqual(beside.services, [
      {
        name: "db",
        env: { POSTGRES_PASSWORD: "none" },
        health: { test: ["CMD-SHELL", "pg_isready"], intervalSeconds: 90, timeoutSeconds: 0.5, retries: 3 },
        image: "sha256:pg:16",
        volumes: [{ name: "data", at: "/var/lib" }],
      },
      { name: "web", env: {}, command: ["serve", '--as "me"', "a b", "${X}"], image: "sha256:web:1" },
    ]);
    assert.deepEqual(beside.differences, [
      "services that nobody asks for are not started: tools",
      "the service gone of .devcontainer/devcontainer.json is not started: the Docker engine has no image none:1 — docker pull none:1",
    ]);
    const chosen = await resolve(withFiles({ ...asked, runServices: [] }, { "compose.yaml": many }));
    assert.deepEqual(
      chosen.services?.map(({ name }) => name),
      ["db", "web"],
    );
    const own = 'services: { app: { image: "a:1", volumes: ["x:/srv/project/node_modules", "y:/y", "z:/srv"] } }';
    const elsewhere = { ...withFiles(asked, { "compose.yaml": own }), workspace: "/srv/project" };
    const { volumes, differences } = await resolve(elsewhere);
    assert.deepEqual(volumes, [
      { name: "x", at: "node_modules" },
      { name: "y", at: "/y" },
    ]);
    assert.match(differences.join("\n"), /the volume z is not at \/srv: the project's own directory stands there/);
    await assert.rejects(resolve(withFiles({ ...asked, service: "no" }, { "compose.yaml": compose })), /has no service "no"/);
    await assert.rejects(resolve(withFiles(asked, { "compose.yaml": "a: [" })), /compose\.yaml is no YAML/);
  });
});
