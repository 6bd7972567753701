import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

/** What the registry has, in two versions. */
export const PACKAGE = "guild-left";
export const VERSIONS = ["1.0.0", "1.1.0"] as const;

/** An npm registry (`/`) and a Python index (`/simple`) on loopback, with one package that real package managers install. `directory`: an empty one. */
export async function packageRegistry(directory: string): Promise<{ url: string; close(): void }> {
  for (const version of VERSIONS) writePackages(directory, version);
  const server = createServer((request, response) => {
    const base = `http://${request.headers.host ?? ""}`;
    const path = decodeURIComponent((request.url ?? "").split("?")[0] ?? "");
    const file = /^\/files\/([\w.-]+)$/.exec(path)?.[1];
    if (path === `/${PACKAGE}`) response.setHeader("content-type", "application/json").end(npmDocument(directory, base));
    else if (path === `/simple/${PACKAGE}/`) response.setHeader("content-type", "text/html").end(pythonPage(directory));
    else if (file !== undefined) response.end(readFileSync(join(directory, file)));
    else response.writeHead(404).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

const wheel = (version: string): string => `guild_left-${version}-py3-none-any.whl`;
const tarball = (version: string): string => `${PACKAGE}-${version}.tgz`;

function writePackages(directory: string, version: string): void {
  const inside = join(directory, version, "package");
  mkdirSync(inside, { recursive: true });
  writeFileSync(join(inside, "package.json"), JSON.stringify({ name: PACKAGE, version, license: "MIT" }));
  execFileSync("tar", ["-C", join(directory, version), "-czf", join(directory, tarball(version)), "package"]);
  const about = join(directory, version, `guild_left-${version}.dist-info`);
  mkdirSync(about);
  writeFileSync(join(about, "METADATA"), `Metadata-Version: 2.1\nName: ${PACKAGE}\nVersion: ${version}\n`);
  writeFileSync(join(about, "WHEEL"), "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
  const record = ["METADATA", "WHEEL"].map((name) => {
    const bytes = readFileSync(join(about, name));
    return `guild_left-${version}.dist-info/${name},sha256=${createHash("sha256").update(bytes).digest("base64url")},${bytes.length}\n`;
  });
  writeFileSync(join(about, "RECORD"), `${record.join("")}guild_left-${version}.dist-info/RECORD,,\n`);
  execFileSync("python3", ["-m", "zipfile", "-c", join(directory, wheel(version)), about]);
}

function npmDocument(directory: string, base: string): string {
  const versions = VERSIONS.map((version) => {
    const integrity = `sha512-${createHash("sha512")
      .update(readFileSync(join(directory, tarball(version))))
      .digest("base64")}`;
    return [version, { name: PACKAGE, version, dist: { tarball: `${base}/files/${tarball(version)}`, integrity } }] as const;
  });
  const time = Object.fromEntries(["created", "modified", ...VERSIONS].map((name) => [name, "2024-01-01T00:00:00Z"]));
  return JSON.stringify({ name: PACKAGE, "dist-tags": { latest: VERSIONS.at(-1) }, versions: Object.fromEntries(versions), time });
}

function pythonPage(directory: string): string {
  const link = (name: string): string =>
    `<a href="/files/${name}#sha256=${createHash("sha256")
      .update(readFileSync(join(directory, name)))
      .digest("hex")}">${name}</a>`;
  return VERSIONS.map((version) => link(wheel(version))).join("\n");
}
