// Exits 0 when node_modules holds what package-lock.json says, 1 when not. Plain JavaScript: it runs before Node 24 is there.
import { readFileSync } from "node:fs";

const read = (path) => {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined; // No such file, or cut by an interrupted install: not installed.
  }
};

const wanted = read("package-lock.json");
const present = read("node_modules/.package-lock.json");
// What our own packages name as optional is there wherever it can be; what others name may have been left out for reasons of their own.
const ours = new Set(
  Object.entries(wanted ?? {}).flatMap(([path, entry]) =>
    path.startsWith("node_modules/") ? [] : Object.keys(entry.optionalDependencies ?? {}),
  ),
);
const fitsHere = ({ os, cpu }) => (os?.includes(process.platform) ?? true) && (cpu?.includes(process.arch) ?? true);
const mayBeAbsent = (path, entry) =>
  entry.devOptional === true || (entry.optional === true && !(ours.has(path.slice("node_modules/".length)) && fitsHere(entry)));
const agrees = ([path, entry]) => {
  if (!path.startsWith("node_modules/")) return true;
  const found = present[path];
  if (found === undefined) return mayBeAbsent(path, entry);
  return found.version === entry.version && found.integrity === entry.integrity && found.link === entry.link;
};
process.exit(wanted !== undefined && present !== undefined && Object.entries(wanted).every(agrees) ? 0 : 1);
