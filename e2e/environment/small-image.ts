import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";

import type { Home } from "../cli/guild.ts";

/** Gives an engine an image small enough for a test, `NAME:1`: a static shell, and chmod with its libraries. */
export function smallImage(home: Home, host: string, name: string): void {
  const root = join(home.directory, `root-${name}`);
  const place = (from: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    copyFileSync(from, join(root, to));
  };
  place("/bin/bash-static", "bin/sh");
  place("/bin/chmod", "bin/chmod");
  for (const [, library = ""] of execFileSync("ldd", ["/bin/chmod"], { encoding: "utf8" }).matchAll(/(\/\S+) \(0x/g))
    place(library, library);
  mkdirSync(join(root, "usr/local/bin"), { recursive: true });
  mkdirSync(join(root, "etc"));
  execFileSync("tar", ["-C", root, "-cf", `${root}.tar`, "."]);
  execFileSync("docker", ["-H", host, "import", `${root}.tar`, `${name}:1`], { stdio: "pipe" });
}
