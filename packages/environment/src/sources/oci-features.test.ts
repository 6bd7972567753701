import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { GuildError } from "@guildhall/core";

import { featureRegistry } from "../testing/feature-registry.ts";
import { ociFeatures } from "./oci-features.ts";

const FILES = { "install.sh": "#!/bin/sh\necho hello\n", "devcontainer-feature.json": '{"id": "greet"}' };

describe("features of a registry", () => {
  it("are fetched once, with the token that anybody gets, where the operator names the registry", async (test) => {
    const registry = await featureRegistry(FILES);
    test.after(registry.close);
    const id = `${registry.host}/team/greet:2`;
    assert.equal(await ociFeatures(() => []).files(id), undefined);
    assert.equal(await ociFeatures(() => [registry.host]).files("./local"), undefined);
    assert.deepEqual(registry.asked, []);
    const features = ociFeatures(() => [registry.host]);
    const found = await features.files(id);
    assert.deepEqual(Object.fromEntries(found?.map(({ path, text }) => [path, text]) ?? []), FILES);
    const asked = registry.asked.length;
    await features.files(id);
    assert.equal(registry.asked.length, asked);
  });

  it("that are not there, not what their digest says or not to be reached are told of, and asked for again", async (test) => {
    const registry = await featureRegistry(FILES);
    test.after(registry.close);
    const features = ociFeatures(() => [registry.host, "127.0.0.1:1"]);
    const refused = (id: string, code: GuildError["code"]) => assert.rejects(features.files(id), (error) => GuildError.is(error, code));
    await refused(`${registry.host}/team/none:2`, "not_found");
    await refused("127.0.0.1:1/team/greet:2", "unavailable");
    await refused(`${registry.host}/team/greet@sha256:${"0".repeat(64)}`, "invalid_argument");
    registry.spoil();
    await refused(`${registry.host}/team/greet:2`, "invalid_argument");
    await refused(`${registry.host}/team/greet:2`, "invalid_argument");
  });
});
