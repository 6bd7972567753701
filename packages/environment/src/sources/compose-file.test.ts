import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { ProjectFiles } from "@guildhall/core";

import { Data } from "../project/read-data.ts";
import { composeService } from "./compose-file.ts";
import { interpolated, readVariables } from "./compose-text.ts";

/** A project that has these files below `.devcontainer`. */
function project(texts: Readonly<Record<string, string>>): ProjectFiles {
  const all = new Map(Object.entries(texts).map(([name, text]) => [name.startsWith("/") ? name.slice(1) : `.devcontainer/${name}`, text]));
  return {
    read: async (path) => all.get(path),
    list: async (directory) => {
      const below = [...all.keys()].filter((path) => path.startsWith(`${directory}/`)).map((path) => path.slice(directory.length + 1));
      const names = new Set(below.map((path) => path.split("/")[0] ?? ""));
      return [...names].map((name) => ({ name, kind: below.includes(name) ? ("file" as const) : ("directory" as const) }));
    },
  };
}

const read = async (texts: Readonly<Record<string, string>>, more: object = {}) => {
  const found = await composeService(
    new Data({ dockerComposeFile: Object.keys(texts).filter((name) => name.endsWith(".yaml")), service: "app", ...more }),
    ".devcontainer/devcontainer.json",
    project(texts),
  );
  assert.ok(found !== undefined);
  return found;
};

describe("Compose files of a devcontainer", () => {
  it("tell what of them is not taken, other files and secrets at their top too", async () => {
    const { refused } = await read({
      "one.yaml": `include: [other.yaml]
name: x
x-own: {}
secrets: { key: { file: key } }
services:
  app: { image: "app:1", extends: { service: db }, x-note: y }
  db: { image: "db:1", cap_add: [ALL] }`,
    });
    assert.deepEqual(refused, [
      "not taken of the service db: cap_add",
      "not taken of the service app: extends",
      "not taken of the Compose files: include, secrets",
    ]);
  });

  it("are laid over one another: tables together, lists added, commands replaced, what is reset taken away", async () => {
    const found = await read({
      "one.yaml": `services:
  app: { image: "app:1", environment: [A=1, B=1], volumes: ["data:/data", "cache:/cache"] }
  db:
    image: "db:1"
    command: [run, --slow]
    environment: { X: "1", GONE: "1" }
    ports: ["1:1"]
    healthcheck: { test: [CMD, one], interval: 5s }
    privileged: true
  old: { image: "old:1" }
volumes: { data: {}, cache: {} }
`,
      "two.yaml": `services:
  app: { environment: { B: "2", C: 3 }, volumes: ["other:/data"] }
  db:
    command: run --fast
    environment: { GONE: !reset null, Y: "2" }
    healthcheck: { test: two }
    privileged: !reset false
    volumes: !override ["data:/db:ro"]
  old: !reset null
  new: { image: "new:1", depends_on: { db: { condition: service_started } } }
`,
    });
    assert.deepEqual([found.image, found.variables], ["app:1", { A: "1", B: "2", C: "3" }]);
    assert.deepEqual(found.volumes, [
      { name: "cache", at: "/cache" },
      { name: "other", at: "/data" },
    ]);
    assert.deepEqual(found.beside, [
      {
        name: "db",
        image: "db:1",
        build: undefined,
        command: ["run", "--fast"],
        health: { test: ["CMD-SHELL", "two"], intervalSeconds: 5 },
        env: { X: "1", Y: "2" },
        volumes: [{ name: "data", at: "/db", readOnly: true }],
      },
      { name: "new", image: "new:1", build: undefined, env: {} },
    ]);
    assert.deepEqual(found.refused, []);
  });

  it("take variables of env_file, of .env beside them, and of nobody's own environment", async () => {
    const compose = `services:
  app: { image: "app:\${TAG}", env_file: [one.env, { path: two.env, required: false }], environment: { B: of-compose, TAG: , HOME: } }
  db: { image: "db:\${OTHER:-1}", env_file: ../outside.env }
  web: { image: "web:1", env_file: { path: raw.env, format: raw } }
`;
    const found = await read({
      "compose.yaml": compose,
      ".env": "TAG=7 # the tag\n",
      "one.env": "# words\nA=\"one\\ntwo\" # not this\nB=of-file\nexport C='$TAG'\nD=${TAG}x\n\nE\n",
      "raw.env": "Q='kept $TAG'\n",
      "/outside.env": "SECRET=1\n",
    });
    assert.deepEqual([found.image, found.variables], ["app:7", { A: "one\ntwo", B: "of-compose", C: "$TAG", D: "7x", TAG: "7" }]);
    assert.deepEqual(
      found.beside.map(({ image, env }) => [image, env]),
      [
        ["db:1", {}],
        ["web:1", { Q: "'kept $TAG'" }],
      ],
    );
    assert.match(found.refused.join("\n"), /db goes without the variables of \.\.\/outside\.env: outside\.env lies outside \.devcontainer/);
    await assert.rejects(
      read({ "compose.yaml": 'services: { app: { image: "a:${NONE:?say which}" } }' }),
      /wants NONE to be set: say which/,
    );
  });

  it("give volumes with a name to sandbox and services, memory and trusted files to services, and say what they cannot give", async () => {
    const found = await read({
      "compose.yaml": `services:
  app:
    image: "app:1"
    tmpfs: /scratch
    volumes: ["..:/workspaces/app:cached", "run:/run/db", "x:/etc", "./init:/init", /var/run/docker.sock:/docker.sock]
  db:
    image: "db:1"
    tmpfs: ["/tmp/db:size=1m"]
    volumes:
      - run:/run/db
      - /var/anonymous
      - { type: volume, source: ours, target: /ours, read_only: true }
      - { type: tmpfs, target: /memory }
      - ./init:/init.d:ro
      - ../src:/src
      - theirs:/theirs
volumes: { run: , ours: {}, theirs: { external: true } }
`,
      "init/one.sql": "select 1;\n",
      "init/deep/two.sh": "echo\n",
      "/src/a": "a",
    });
    assert.deepEqual(found.volumes, [{ name: "run", at: "/run/db" }]);
    assert.deepEqual(found.beside[0]?.volumes, [
      { name: "run", at: "/run/db" },
      { name: "db.var.anonymous", at: "/var/anonymous" },
      { name: "ours", at: "/ours", readOnly: true },
    ]);
    assert.deepEqual(found.beside[0]?.temporary, ["/tmp/db", "/memory"]);
    assert.deepEqual(
      found.beside[0]?.files?.map(({ at, mode }) => [at, mode]),
      [
        ["/init.d/one.sql", 0o644],
        ["/init.d/deep/two.sh", 0o755],
      ],
    );
    assert.deepEqual(found.refused, [
      "the service app does not get .. at /workspaces/app: the project stands at its own path inside",
      "the service app does not get x at /etc: nothing can be put there",
      "the service app does not get ./init at /init: files are given to services alone",
      "the service app does not get /var/run/docker.sock at /docker.sock: it lies outside of the project",
      "the service app does not get /scratch: memory is at /tmp",
      "the service db does not get ../src at /src: src lies outside .devcontainer, where nobody has trusted it — move it into .devcontainer",
      "the service db does not get theirs at /theirs: it lies outside of the project",
    ]);
  });

  it("are refused in one line when one is no YAML, or nobody has trusted it", async () => {
    await assert.rejects(read({ "one.yaml": "services: {}", "two.yaml": "a: [" }), /two\.yaml is no YAML/);
    await assert.rejects(
      read({ "one.yaml": "services: { app: { image: a } }" }, { dockerComposeFile: ["one.yaml", "../two.yaml"] }),
      /two\.yaml lies outside/,
    );
    await assert.rejects(
      read({ "one.yaml": "services: {}", "two.yaml": "services: { b: {} }" }),
      /one\.yaml, \.devcontainer\/two\.yaml has no service "app"/,
    );
  });
});

it("variables of a Compose file are those of the specification", () => {
  const known = { A: "1", EMPTY: "" };
  for (const [text, wanted] of [
    ["$A ${A} $$A $", "1 1 $A $"],
    ["${EMPTY:-x}${EMPTY-y}${NONE-z}${NONE}", "xz"],
    ["${A:+set}${NONE:+not}${EMPTY+there}${EMPTY:+no}", "setthere"],
    ["${NONE:-${A}-${NONE:-deep}}", "1-deep"],
    ["${A", "${A"],
  ] as const)
    assert.equal(interpolated(text, known), wanted, text);
  assert.throws(() => interpolated("${EMPTY:?why}", known), /wants EMPTY to be set: why/);
  assert.deepEqual(readVariables('A=1\r\nB="two\nlines"\nC=a b # c\nD=a#b\nE=\n# F=1\nG: 2\n=x\n', {}), {
    A: "1",
    B: "two\nlines",
    C: "a b",
    D: "a#b",
    E: "",
    G: "2",
  });
});
