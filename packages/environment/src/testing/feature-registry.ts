import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A registry on loopback that speaks as much of the OCI distribution API as fetching a feature needs, and wants a token that anybody gets. */
export async function featureRegistry(
  files: Readonly<Record<string, string>>,
): Promise<{ host: string; asked: string[]; spoil(): void; close(): void }> {
  const directory = mkdtempSync(join(tmpdir(), "guild-feature-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text, { mode: 0o755 });
  let blob = execFileSync("tar", ["-C", directory, "-cf", "-", "."]);
  rmSync(directory, { recursive: true });
  const digest = `sha256:${createHash("sha256").update(blob).digest("hex")}`;
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    layers: [{ mediaType: "application/vnd.devcontainers.layer.v1+tar", digest, size: blob.length }],
  });
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const base = `http://${request.headers.host ?? ""}`;
    const url = request.url ?? "";
    asked.push(url);
    if (url.startsWith("/token?")) response.end('{"token": "anybody"}');
    else if (request.headers.authorization !== "Bearer anybody") {
      response.writeHead(401, { "www-authenticate": `Bearer realm="${base}/token",service="s",scope="repository:a:pull"` }).end();
    } else if (/^\/v2\/team\/greet\/manifests\/(2|sha256:)/.test(url)) response.end(manifest);
    else if (url === `/v2/team/greet/blobs/${digest}`) response.end(blob);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const host = `127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`;
  const spoil = (): void => void (blob = Buffer.concat([blob, Buffer.from("x")]));
  return { host, asked, spoil, close: () => void server.close() };
}
