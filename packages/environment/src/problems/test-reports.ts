import type { SandboxFiles } from "@guildhall/core";

/** Directories and files in which test runners leave reports as JUnit XML by custom, relative to the part of the project that is tested. */
const DIRECTORIES = ["target/surefire-reports", "target/failsafe-reports", "build/test-results/test", "test-results", "reports"];
const FILES = ["junit.xml", "report.xml", "test-results.xml", "test-report.xml", "build/junit.xml"];
const MOST_FILES = 200;
const MOST_BYTES = 4 * 1024 * 1024;

/** Reports of tests (JUnit XML) as they stand; `read` tells those that a run has written since. */
export interface TestReports {
  /** Their text, one after the other, 4 MiB at most. */
  read(): Promise<string>;
}

/** To be called before the tests run. `directory` is absolute. */
export async function testReports(files: SandboxFiles, directory: string): Promise<TestReports> {
  const before = await written(files, directory);
  return {
    async read() {
      let text = "";
      for (const [path, { size, at }] of await written(files, directory)) {
        if (before.get(path)?.at === at || text.length + size > MOST_BYTES) continue;
        const bytes = await files.read(path).catch(() => new Uint8Array()); // taken away again meanwhile
        text += `${Buffer.from(bytes).toString("utf8")}\n`;
      }
      return text;
    },
  };
}

async function written(files: SandboxFiles, directory: string): Promise<Map<string, { size: number; at: number }>> {
  const listed = DIRECTORIES.map(async (name) => {
    const entries = await files.list(`${directory}/${name}`).catch(() => []); // most projects have none of them
    return entries.flatMap((entry) => (entry.name.endsWith(".xml") ? [`${directory}/${name}/${entry.name}`] : []));
  });
  const paths = [...FILES.map((name) => `${directory}/${name}`), ...(await Promise.all(listed)).flat()];
  const found = new Map<string, { size: number; at: number }>();
  for (const path of paths.slice(0, MOST_FILES)) {
    const stat = await files.stat(path).catch(() => undefined); // as above
    if (stat?.kind === "file") found.set(path, { size: stat.size, at: stat.mtimeMs });
  }
  return found;
}
