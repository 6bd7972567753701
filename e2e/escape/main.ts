/** Prints the table of the escape corpus: attack, contained, by what. `node e2e/escape/main.ts [ID…]`; exit code 1 when one got through, or is not shown to work without. */
import { attacks, type Row } from "./corpus.ts";
import { productAttacks } from "./product-attacks.ts";
import { runEverywhere } from "./run.ts";
import { timedAttacks } from "./timed.ts";

const wanted = process.argv.slice(2);
const chosen = [...attacks, ...timedAttacks, ...productAttacks].filter(({ id }) => wanted.length === 0 || wanted.includes(id));
const rows = await runEverywhere(
  chosen.map(({ id }) => id),
  (row) => {
    const through = Object.entries(row.through).map(([provider, got]) => `${provider} ${got ? "THROUGH" : "contained"}`);
    process.stderr.write(`${row.caller} ${row.attack}: ${through.join(", ")}; without ${row.control === true ? "works" : "not shown"}\n`);
  },
);

const places = [...new Set(rows.flatMap((row) => Object.keys(row.through).map((provider) => `${provider}/${row.caller}`)))];
console.log(`| attack | what it tries | without a sandbox | ${places.join(" | ")} | by what |`);
console.log(`| --- | --- | --- | ${places.map(() => "---").join(" | ")} | --- |`);
for (const { id, title, by } of chosen) {
  const own = rows.filter(({ attack }) => attack === id);
  const cells = places.map((place) => cell(own, place));
  console.log(
    `| ${id} | ${title} | ${own.some(({ control }) => control === true) ? "works" : "NOT SHOWN"} | ${cells.join(" | ")} | ${by} |`,
  );
}
const through = rows.filter((row) => Object.values(row.through).includes(true)).length;
const unshown = chosen.filter(({ id }) => !rows.some(({ attack, control }) => attack === id && control === true)).length;
console.log(
  `\n${chosen.length} attacks, ${rows.length} rows, ${through} with an attack that got through, ${unshown} not shown without a sandbox`,
);
process.exitCode = through === 0 && unshown === 0 ? 0 : 1;

function cell(rows: readonly Row[], place: string): string {
  const [provider = "", caller] = place.split("/");
  const found = rows.find((row) => row.caller === caller)?.through[provider];
  return found === undefined ? "-" : found ? "THROUGH" : "contained";
}
