import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";

/** One line of what the reporter writes. */
export interface Skipped {
  file: string;
  name: string;
  reason: string;
}

/** A node:test reporter: the skipped tests, as JSON lines. */
export default async function* skips(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type !== "test:pass" && event.type !== "test:fail") continue;
    const { skip, name, file } = event.data;
    if (skip === undefined || skip === false) continue;
    const line: Skipped = { file: relative(process.cwd(), file ?? ""), name, reason: skip === true ? "" : skip };
    yield `${JSON.stringify(line)}\n`;
  }
}
