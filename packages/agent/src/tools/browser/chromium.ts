import { createHash, randomBytes, X509Certificate } from "node:crypto";

import { type Execution, GuildError, type Sandbox } from "@guildhall/core";

/** Where distributions keep the program itself; their wrappers want configuration that is not in a sandbox. */
const PROGRAMS = [
  "/usr/lib/chromium/chromium",
  "/usr/lib/chromium-browser/chromium-browser",
  "/usr/lib64/chromium-browser/chromium-browser",
  "/usr/lib64/chromium/chromium",
  "/opt/google/chrome/chrome",
  "/opt/chromium/chrome",
];

const FLAGS = [
  "--remote-debugging-pipe",
  "--headless",
  // It has no user namespaces left to make: what holds it is the sandbox that it runs in.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-default-apps",
  "--disable-domain-reliability",
  "--disable-extensions",
  "--disable-sync",
  "--metrics-recording-only",
  "--mute-audio",
  "--no-pings",
  "--password-store=basic",
  // One process and one tree a page: frames of other sites are part of it.
  "--disable-site-isolation-trials",
  "--disable-features=IsolateOrigins,site-per-process,Translate,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,OptimizationHints,MediaRouter,DialMediaRouteProvider",
  "--window-size=1280,800",
];

export interface StartedChromium {
  execution: Execution;
  /** Of this browser alone: profile and downloads. */
  folder: string;
}

/**
 * Starts Chromium as a process of the session's own sandbox, spoken to by its standard streams: so it reaches the servers that the agent has
 * started, and everything else by the sandbox's one way out. Throws `failed_precondition` where there is none, or no sandbox.
 */
export async function startChromium(sandbox: Sandbox): Promise<StartedChromium> {
  if (sandbox.provider === "host") {
    throw new GuildError("failed_precondition", "there is no browser without isolation", { remedy: "use the bubblewrap sandbox" });
  }
  const program = await findProgram(sandbox);
  const folder = `/tmp/guildhall-browser-${randomBytes(6).toString("hex")}`;
  await sandbox.files.mkdir(`${folder}/downloads`, { parents: true, mode: 0o700 });
  const argv = [program, ...FLAGS, `--user-data-dir=${folder}/profile`, ...(await proxyFlags(sandbox)), "about:blank"];
  const execution = await sandbox.exec({
    // It reads from descriptor 3 and writes to 4.
    argv: ["/bin/sh", "-c", 'exec 3<&0 4>&1 </dev/null 1>&2; exec "$@"', "chromium", ...argv],
    cwd: "/tmp",
    input: true,
    limits: { wallSeconds: 0, cpuSeconds: 0 },
  });
  return { execution, folder };
}

async function findProgram(sandbox: Sandbox): Promise<string> {
  for (const path of PROGRAMS) {
    try {
      await sandbox.files.stat(path, { follow: true });
      return path;
    } catch (error) {
      if (!GuildError.is(error)) throw error;
    }
  }
  throw new GuildError("failed_precondition", "there is no Chromium on this machine", {
    remedy: "install it: apt-get install chromium (or your system's package)",
  });
}

/** Its own loopback is the sandbox's; all else goes to the proxy, whose authority it trusts by the key. */
async function proxyFlags(sandbox: Sandbox): Promise<string[]> {
  const { wayOut } = sandbox;
  if (wayOut === undefined) return [];
  const certificate = new X509Certificate(Buffer.from(await sandbox.files.read(wayOut.authority)));
  const key = createHash("sha256")
    .update(certificate.publicKey.export({ type: "spki", format: "der" }))
    .digest("base64");
  return [
    `--proxy-server=http://127.0.0.1:${wayOut.port}`,
    "--proxy-bypass-list=<-loopback>;localhost;*.localhost;127.0.0.1;[::1]",
    `--ignore-certificate-errors-spki-list=${key}`,
  ];
}
