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
  it("tell what of them is not taken, secrets at their top and files that are not there too", async () => {
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
      "what .devcontainer/one.yaml includes of other.yaml is not taken: there is no .devcontainer/other.yaml",
      "not taken of the service db: cap_add",
      "not taken of the service app: cap_add",
      "not taken of the Compose files: secrets",
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

  it("extend services of their own and of other files, whose paths are their own", async () => {
    const found = await read({
      "one.yaml": `services:
  app:
    extends: { file: common/base.yml, service: shell }
    environment: { B: mine }
    volumes: ["own:/data"]
  db: { extends: base, command: [run], image: "db:2" }
  base: { image: "db:1", command: [walk], environment: [D=1] }
  lone: { extends: { file: ../../outside.yml, service: x }, image: "lone:1" }
`,
      "common/base.yml": `services:
  shell:
    extends: { file: deep/deeper.yml, service: root }
    environment: [A=$TAG, B=theirs]
    env_file: base.env
    volumes: ["cache:/cache", "base:/data"]
`,
      "common/base.env": "FROM_FILE=yes\n",
      "common/deep/deeper.yml": "services: { root: { build: { dockerfile: Own }, depends_on: [db] } }\n",
      ".env": "TAG=7\n",
    });
    assert.deepEqual(found.variables, { FROM_FILE: "yes", A: "7", B: "mine" });
    assert.deepEqual(found.build, {
      context: ".devcontainer/common/deep",
      dockerfile: ".devcontainer/common/deep/Own",
      args: {},
      target: undefined,
    });
    assert.deepEqual(found.volumes, [
      { name: "cache", at: "/cache" },
      { name: "own", at: "/data" },
    ]);
    assert.deepEqual(
      found.beside.map(({ name, image, command, env }) => [name, image, command, env]),
      [
        ["db", "db:2", ["run"], { D: "1" }],
        ["base", "db:1", ["walk"], { D: "1" }],
        ["lone", "lone:1", undefined, {}],
      ],
    );
    assert.match(found.refused.join("\n"), /^the service lone goes without what it extends: \S+ leads out of the project/);
  });

  it("include other projects, with directories and variables of their own", async () => {
    const found = await read({
      "one.yaml": `include:
  - db/compose.yml
  - { path: [mail.yml, mail.more.yml], project_directory: mail, env_file: mail.env }
  - ../outside.yml
  - https://example.test/compose.yml
services: { app: { image: "app:$TAG", depends_on: [db, mail] } }
`,
      "two.yaml": 'services: { db: { environment: { LATER: "1" } } }\n',
      ".env": "TAG=7\n",
      "db/.env": "TAG=of-db\nPORT=5432\n",
      "db/compose.yml": `services:
  db: { image: "db:$TAG", environment: { PORT: , DEEP: "$PORT" }, volumes: ["./init:/init:ro", "data:/data"], env_file: own.env }
volumes: { data: { external: true } }
`,
      "db/own.env": "OWN=$PORT\n",
      "db/init/one.sql": "select 1;\n",
      "mail.env": "WHO=mail\n",
      "mail.yml": 'services: { mail: { image: "$WHO:1", build: . } }\n',
      "mail.more.yml": "services: { mail: { environment: [M=2] } }\n",
      "/outside.yml": "services: {}\n",
    });
    assert.equal(found.image, "app:7");
    const [db, mail] = found.beside;
    assert.deepEqual([db?.image, db?.env], ["db:7", { OWN: "5432", PORT: "5432", DEEP: "5432", LATER: "1" }]);
    assert.deepEqual(
      db?.files?.map(({ at }) => at),
      ["/init/one.sql"],
    );
    assert.deepEqual([mail?.image, mail?.env, mail?.build?.context], ["mail:1", { M: "2" }, ".devcontainer/mail"]);
    assert.deepEqual(found.refused, [
      "what .devcontainer/one.yaml includes of ../outside.yml is not taken: outside.yml lies outside .devcontainer, where nobody has trusted it — move it into .devcontainer",
      "what .devcontainer/one.yaml includes of https://example.test/compose.yml is not taken: it lies in the network",
      "the service db does not get data at /data: it lies outside of the project",
    ]);
  });

  it("that include or extend themselves, or give a name twice, are refused in one line", async () => {
    const app = 'services: { app: { image: "app:1" } }\n';
    await assert.rejects(read({ "one.yaml": `include: [b.yml]\n${app}`, "b.yml": "include: [./one.yaml]\n" }), /one\.yaml includes itself/);
    await assert.rejects(
      read({
        "one.yaml": "services: { app: { extends: b }, b: { extends: { file: b.yml, service: b } } }",
        "b.yml": "services: { b: { extends: { file: one.yaml, service: app } } }",
      }),
      /the service app in \S+one\.yaml extends itself/,
    );
    await assert.rejects(read({ "one.yaml": "services: { app: { extends: none } }" }), /app in \S+ extends "none", which \S+ has not/);
    await assert.rejects(
      read({ "one.yaml": `include: [b.yml]\n${app}`, "b.yml": 'services: { app: { image: "b:1" } }' }),
      /one\.yaml has app \(services\), and so has/,
    );
    const many = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`f${index}.yml`, `include: [f${index + 1}.yml, f${index + 1}.yml]\n`]),
    );
    await assert.rejects(
      read({ "one.yaml": `include: [f0.yml]\n${app}`, ...many, "f20.yml": "services: {}" }),
      /more than 100 Compose files/,
    );
  });

  it("may have volumes below the project, wherever they think that it stands", async () => {
    const compose = `services:
  app:
    image: "app:1"
    volumes: ["..:/workspaces/app:cached", "modules:/workspaces/app/node_modules", /workspaces/app/a/target/, "git:/workspaces/app/.git", "x:/workspaces/app/"]
`;
    const found = await read({ "compose.yaml": compose });
    assert.deepEqual(found.volumes, [
      { name: "modules", at: "node_modules" },
      { name: "app.workspaces.app.a.target.", at: "a/target" },
    ]);
    assert.match(found.refused.join("\n"), /x at \/workspaces\/app\/: the project stands there/);
    assert.match(found.refused.join("\n"), /git at \/workspaces\/app\/\.git: what is trusted or guarded stands there/);
    const named = await read(
      { "compose.yaml": 'services: { app: { image: "app:1", volumes: ["modules:/src/node_modules"] } }' },
      { workspaceFolder: "/src" },
    );
    assert.deepEqual(named.volumes, [{ name: "modules", at: "node_modules" }]);
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
