import assert from "node:assert/strict";
import { test } from "node:test";

import { commandsIn, examplesIn, linksIn, pathsIn } from "./extract.ts";

const document = [
  "Text with `guild doctor` and `npm run check` and `other thing`.",
  "",
  "```sh",
  '$ ./guild run "mend the test" --json | head # a comment',
  "GUILD_HOME=x guild tool call bash \\",
  '  --args \'{"command": "ls"}\'',
  "ls",
  "```",
  "",
  "```ts",
  "const one: number = 1;",
  "```",
  "See [the map](docs/architecture.md#picture), [us](https://example.org) and `packages/core/src/errors.ts`, `packages/*/native`.",
].join("\n");

test("fenced blocks come with their language and line", () => {
  assert.deepEqual(
    examplesIn(document).map(({ language, line }) => [language, line]),
    [
      ["sh", 4],
      ["ts", 11],
    ],
  );
});

test("commands are taken in words, without prompt, variables, pipe and comment", () => {
  assert.deepEqual(commandsIn(document), [
    ["guild", "run", "mend the test", "--json"],
    ["guild", "tool", "call", "bash", "--args", '{"command": "ls"}'],
    ["guild", "doctor"],
    ["npm", "run", "check"],
  ]);
});

test("relative links and plain paths are found", () => {
  assert.deepEqual(linksIn(document), ["docs/architecture.md"]);
  assert.deepEqual(pathsIn(document), ["packages/core/src/errors.ts"]);
});
