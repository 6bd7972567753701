import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join, normalize } from "node:path";

import { PACKAGE, VERSIONS } from "./package-registry.ts";

export const GO_MODULE = `example.test/${PACKAGE}`;
export const COMPOSER_PACKAGE = `guild/${PACKAGE}`;

/** A file below a directory, from text or bytes. */
type Put = (path: string, content: string | Buffer) => void;

/**
 * A Go module proxy (`/go`), an index of crates (`index`, a git repository) with its files, a source of gems (`/gems`) and a Composer repository
 * (`/composer`) on loopback, with one package that the real tools install. Makes those whose tool is named. `directory`: an empty one.
 */
export async function systemRegistry(
  directory: string,
  tools: { go: boolean; cargo: boolean; bundler: boolean; composer: boolean },
): Promise<{ url: string; index: string; close(): void }> {
  const served = join(directory, "served");
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent((request.url ?? "").split("?")[0] ?? ""));
    try {
      response.end(readFileSync(join(served, path)));
    } catch {
      response.writeHead(404).end(); // no such file, or a directory
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`;
  const put: Put = (path, content) => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  };
  const index = join(directory, "index");
  if (tools.go) goProxy(directory, put);
  if (tools.cargo) crates(directory, put, url);
  if (tools.bundler) gems(directory, put);
  if (tools.composer) composerRepository(directory, put, url);
  return { url, index, close: () => void server.close() };
}

const sha256 = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

function goProxy(directory: string, put: Put): void {
  const place = `served/go/${GO_MODULE}`;
  const info = (version: string) => JSON.stringify({ Version: `v${version}`, Time: "2024-01-01T00:00:00Z" });
  const manifest = `module ${GO_MODULE}\n\ngo 1.16\n`;
  const zip = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z:\n  for f in sys.argv[2:]: z.write(f)";
  for (const version of VERSIONS) {
    const inside = `${GO_MODULE}@v${version}`;
    put(`go/${inside}/go.mod`, manifest);
    put(`go/${inside}/left.go`, "package left\n");
    put(`${place}/@v/v${version}.info`, info(version));
    put(`${place}/@v/v${version}.mod`, manifest);
    const to = join(directory, place, `@v/v${version}.zip`);
    execFileSync("python3", ["-c", zip, to, `${inside}/go.mod`, `${inside}/left.go`], { cwd: join(directory, "go") });
  }
  put(`${place}/@v/list`, VERSIONS.map((version) => `v${version}\n`).join(""));
  put(`${place}/@latest`, info(VERSIONS.at(-1) ?? ""));
}

function crates(directory: string, put: Put, url: string): void {
  const lines = VERSIONS.map((version) => {
    const name = `${PACKAGE}-${version}`;
    put(`crates/${name}/Cargo.toml`, `[package]\nname = "${PACKAGE}"\nversion = "${version}"\nedition = "2021"\n`);
    put(`crates/${name}/src/lib.rs`, "");
    const file = join(directory, `served/crates/${PACKAGE}/${version}/download`);
    mkdirSync(dirname(file), { recursive: true });
    execFileSync("tar", ["-C", join(directory, "crates"), "-czf", file, name]);
    return JSON.stringify({ name: PACKAGE, vers: version, deps: [], cksum: sha256(file), features: {}, yanked: false });
  });
  put("index/config.json", JSON.stringify({ dl: `${url}/crates` }));
  put(`index/${PACKAGE.slice(0, 2)}/${PACKAGE.slice(2, 4)}/${PACKAGE}`, `${lines.join("\n")}\n`);
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@localhost", ...args], { cwd: join(directory, "index") });
  git("init", "--quiet", "--initial-branch=master");
  git("add", "--all");
  git("commit", "--quiet", "--message", "index");
}

function gems(directory: string, put: Put): void {
  const lines = VERSIONS.map((version) => {
    const of = `Gem::Specification.new { |s| s.name = "${PACKAGE}"; s.version = "${version}"; s.summary = "It leans"; s.authors = ["nobody"] }`;
    put(`gem/${version}/left.gemspec`, `${of}\n`);
    const file = join(directory, `served/gems/gems/${PACKAGE}-${version}.gem`);
    mkdirSync(dirname(file), { recursive: true });
    execFileSync("gem", ["build", "--silent", "left.gemspec", "--output", file], { cwd: join(directory, `gem/${version}`), stdio: "pipe" });
    return `${version} |checksum:${sha256(file)}`;
  });
  const info = `---\n${lines.join("\n")}\n`;
  put(`served/gems/info/${PACKAGE}`, info);
  const digest = createHash("md5").update(info).digest("hex");
  put("served/gems/versions", `created_at: 2024-01-01T00:00:00Z\n---\n${PACKAGE} ${VERSIONS.join(",")} ${digest}\n`);
}

function composerRepository(directory: string, put: Put, url: string): void {
  const versions = VERSIONS.map((version) => {
    put(`composer/${version}/composer.json`, JSON.stringify({ name: COMPOSER_PACKAGE, version }));
    const name = `${PACKAGE}-${version}.tar`;
    mkdirSync(join(directory, "served/composer"), { recursive: true });
    execFileSync("tar", ["-C", join(directory, "composer"), "-cf", join(directory, "served/composer", name), version]);
    return [version, { name: COMPOSER_PACKAGE, version, dist: { type: "tar", url: `${url}/composer/${name}` } }] as const;
  });
  put("served/composer/packages.json", JSON.stringify({ packages: { [COMPOSER_PACKAGE]: Object.fromEntries(versions) } }));
}
