import { commandsOf, type Detector, firstOf, lockedBy } from "./detector.ts";
import { readData } from "./read-data.ts";

/** Deno, by its configuration file. */
export const detectDeno: Detector = async (directory) => {
  const manifest = firstOf(directory, ["deno.json", "deno.jsonc"]);
  if (manifest === undefined) return [];
  const data = await readData(directory, manifest, "json");
  const tasks = data.at("tasks").entries.flatMap(([name, task]) => {
    const command = task.text ?? task.at("command").text;
    return command === undefined ? [] : [[name, command] as const];
  });
  const scripts = Object.fromEntries(tasks);
  const task = (name: string, otherwise: string) => (Object.hasOwn(scripts, name) ? `deno task ${name}` : otherwise);
  return [
    {
      ecosystem: "deno",
      manager: "deno",
      manifest,
      ...lockedBy(firstOf(directory, ["deno.lock"])),
      scripts,
      commands: commandsOf([
        ["install", "deno install"],
        ["build", Object.hasOwn(scripts, "build") ? "deno task build" : undefined],
        ["test", task("test", "deno test")],
        ["lint", task("lint", "deno lint")],
        ["format", task("fmt", "deno fmt")],
        ["typecheck", "deno check ."],
        ["run", Object.hasOwn(scripts, "dev") ? "deno task dev" : undefined],
      ]),
    },
  ];
};
