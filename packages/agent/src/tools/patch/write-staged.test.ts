import assert from "node:assert/strict";
import { it } from "node:test";

import { FakeToolSession } from "@guildhall/core/testing";

import { EditHistory } from "../edit/edit-history.ts";
import { workspacePath } from "../workspace-path.ts";
import { writeStaged } from "./write-staged.ts";

it("nothing is written over what was changed since it was read, and what was written before it is taken back", async () => {
  const { sandbox } = new FakeToolSession();
  const stage = async (name: string) => {
    await sandbox.files.write(`/w/${name}`, Buffer.from("one"), { parents: true });
    const path = await workspacePath(sandbox, name);
    const before = { bytes: await sandbox.files.read(path.real), stat: await sandbox.files.stat(path.real) };
    return { path, before, after: { bytes: Buffer.from("two"), mode: undefined } };
  };
  const staged = [await stage("a"), await stage("b")];
  await sandbox.files.write("/w/b", Buffer.from("somebody else's"));
  await assert.rejects(
    writeStaged(sandbox.files, new EditHistory(), staged, "ast"),
    /b was changed from outside meanwhile; nothing was written/,
  );
  const texts = await Promise.all(["a", "b"].map(async (name) => Buffer.from(await sandbox.files.read(`/w/${name}`)).toString("utf8")));
  assert.deepEqual(texts, ["one", "somebody else's"]);
});
