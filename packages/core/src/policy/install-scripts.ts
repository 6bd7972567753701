/** Scripts of package.json that package managers run unasked when they install. */
const SCRIPTS: ReadonlySet<string> = new Set([
  "preinstall",
  "install",
  "postinstall",
  "prepublish",
  "preprepare",
  "prepare",
  "postprepare",
  "dependencies",
  "pnpm:devPreinstall",
]);

/** Other parts of it by which programs of the person run something unasked: hooks of git, and a package manager from anywhere. */
const PARTS: ReadonlySet<string> = new Set([
  "husky",
  "gitHooks",
  "lint-staged",
  "pre-commit",
  "simple-git-hooks",
  "packageManager",
  "devEngines",
]);

type Manifest = Record<string, unknown>;

/** Whether a path (relative) is a manifest whose scripts are looked at. */
export function isManifest(path: string): boolean {
  return path === "package.json" || path.endsWith("/package.json");
}

/** The names of what a manifest would run unasked and did not before. Undefined: no package manager can read it, so that it runs nothing. */
export function newInstallScripts(before: string, after: string): string[] | undefined {
  const manifest = parsed(after);
  if (manifest === undefined) return undefined;
  const [now, then] = [running(manifest), running(parsed(before) ?? {})];
  return [...now].flatMap(([name, value]) => (then.get(name) === value ? [] : [name]));
}

/** A manifest that runs unasked what another does, and is otherwise as it is. Either must be readable; else it comes back unchanged. */
export function withInstallScripts(text: string, other: string): string {
  const manifest = parsed(text);
  const from = parsed(other) ?? {};
  if (manifest === undefined) return text;
  const result = replaced(manifest, from, (name) => PARTS.has(name));
  const scripts = replaced(objectAt(manifest, "scripts"), objectAt(from, "scripts"), (name) => SCRIPTS.has(name));
  if ("scripts" in manifest || Object.keys(scripts).length > 0) result["scripts"] = scripts;
  const indent = /^[ \t]+/m.exec(text)?.[0] ?? "  ";
  return JSON.stringify(result, null, indent) + (text.endsWith("\n") ? "\n" : "");
}

/** `own` with what is `guarded` as in `from`, in its place. */
function replaced(own: Manifest, from: Manifest, guarded: (name: string) => boolean): Manifest {
  const kept = Object.entries(own).flatMap(([name, value]) =>
    !guarded(name) ? [[name, value]] : name in from ? [[name, from[name]]] : [],
  );
  const added = Object.entries(from).filter(([name]) => guarded(name) && !(name in own));
  return Object.fromEntries([...kept, ...added]) as Manifest;
}

function running(manifest: Manifest): Map<string, string> {
  const entries = Object.entries(objectAt(manifest, "scripts")).filter(([name]) => SCRIPTS.has(name));
  const parts = Object.entries(manifest).filter(([name]) => PARTS.has(name));
  return new Map(
    [...entries.map(([name, value]) => [`scripts.${name}`, value] as const), ...parts].map(([name, value]) => [
      name,
      JSON.stringify(value),
    ]),
  );
}

function objectAt(manifest: Manifest, name: string): Manifest {
  const value = Object.hasOwn(manifest, name) ? manifest[name] : undefined;
  return isObject(value) ? value : {};
}

function parsed(text: string): Manifest | undefined {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ""));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // no package manager reads it either
  }
}

function isObject(value: unknown): value is Manifest {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
