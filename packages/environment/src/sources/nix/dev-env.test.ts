import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError } from "@guildhall/core";

import { readDevEnv } from "./dev-env.ts";

const exported = (value: string) => ({ type: "exported", value });
const variables = {
  PATH: exported("/nix/store/a-greet/bin:/path-not-set:relative"),
  GREETING: exported("hello"),
  stdenv: exported("/nix/store/s-stdenv"),
  NIX_BUILD_TOP: exported("/build"),
  shellHook: { type: "var", value: "export HOOKED=1\n" },
  ordinary: { type: "var", value: "not exported" },
  list: { type: "array", value: ["a", "b"] },
  table: { type: "associative", value: { a: "b" } },
  odd: { type: "unknown" },
};
const expected = { variables: { GREETING: "hello" }, path: ["/nix/store/a-greet/bin"], shellHook: "export HOOKED=1" };

/**
 * What `nix print-dev-env --json` prints by version. The first is what Debian's Nix 2.8 prints, which the other tests run; those of later Nix,
 * of Lix and of Determinate Nix, which cannot be had here, are made after their published sources: they add keys beside `variables`, and
 * variables for structured attributes.
 */
const SHAPES: ReadonlyArray<readonly [string, object]> = [
  ["Nix 2.8", { bashFunctions: { f: " \n echo f\n" }, variables }],
  ["Nix 2.24 and Lix 2.91", { bashFunctions: {}, variables, structuredAttrs: { ".attrs.json": "{}", ".attrs.sh": "declare out=x" } }],
  [
    "Determinate Nix 3",
    {
      bashFunctions: {},
      variables: {
        ...variables,
        NIX_ATTRS_JSON_FILE: exported("/build/.attrs.json"),
        NIX_ATTRS_SH_FILE: exported("/build/.attrs.sh"),
        NIX_ENFORCE_PURITY: exported("1"),
      },
      structuredAttrs: null,
    },
  ],
];

describe("the environment that Nix prints", () => {
  for (const [version, shape] of SHAPES) {
    it(`is the same for ${version}`, () => assert.deepEqual(readDevEnv(JSON.stringify(shape)), expected));
  }

  it("is refused in one line when it is something else", () => {
    for (const text of ["", "{}", '{"variables": []}', "error: x"])
      assert.throws(
        () => readDevEnv(text),
        (error) => GuildError.is(error, "invalid_argument") && !error.line.includes("\n"),
      );
  });
});
