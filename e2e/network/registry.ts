import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A package registry with one package that only who has logged in may have. */
export class Registry {
  readonly #name: string;
  readonly #tarball: Buffer;

  constructor(name: string) {
    this.#name = name;
    const folder = mkdtempSync(join(tmpdir(), "guild-registry-"));
    mkdirSync(join(folder, "package"));
    writeFileSync(join(folder, "package/package.json"), JSON.stringify({ name, version: "1.0.0", main: "index.js" }));
    writeFileSync(join(folder, "package/index.js"), 'module.exports = "from the registry";\n');
    execFileSync("tar", ["-czf", "package.tgz", "package"], { cwd: folder });
    this.#tarball = readFileSync(join(folder, "package.tgz"));
    rmSync(folder, { recursive: true });
  }

  answer(url: string, authorization: string | undefined, response: ServerResponse): void {
    if (authorization !== "Bearer npm-canary-token-0123456789") {
      response.writeHead(401, { "content-type": "application/json" }).end('{"error":"log in first"}');
      return;
    }
    const file = `/${this.#name}/-/${this.#name}-1.0.0.tgz`;
    if (url === file) {
      response.writeHead(200, { "content-type": "application/octet-stream" }).end(this.#tarball);
      return;
    }
    const dist = { tarball: `https://registry.example.com${file}`, integrity: `sha512-${hash("sha512", this.#tarball, "base64")}` };
    const versions = { "1.0.0": { name: this.#name, version: "1.0.0", main: "index.js", dist } };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ name: this.#name, "dist-tags": { latest: "1.0.0" }, versions }));
  }
}
