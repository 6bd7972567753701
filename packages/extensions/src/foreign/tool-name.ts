import { hash } from "node:crypto";

/** Longest name that every provider takes. */
const LONGEST = 64;

/**
 * Names that models accept for tools of one source, `<prefix>__<name>`: other characters become `_`, and what is too long or taken already
 * ends in a few digits of its hash. The same names in the same order give the same result.
 */
export class ToolNames {
  readonly #prefix: string;
  readonly #taken = new Set<string>();

  constructor(prefix: string) {
    this.#prefix = clean(prefix);
  }

  of(name: string): string {
    const plain = `${this.#prefix}__${clean(name)}`;
    const fits = plain.length <= LONGEST && !this.#taken.has(plain);
    const made = fits ? plain : `${plain.slice(0, LONGEST - 9)}_${hash("sha256", name, "hex").slice(0, 8)}`;
    this.#taken.add(made);
    return made;
  }
}

function clean(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]/g, "_") || "_";
}
