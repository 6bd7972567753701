import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";

import type { Home } from "../cli/guild.ts";

/** Gives an engine an image small enough for a test, `NAME:1`: a static shell, and chmod and socat with their libraries. */
export function smallImage(home: Home, host: string, name: string): void {
  const root = join(home.directory, `root-${name}`);
  const place = (from: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    copyFileSync(from, join(root, to));
  };
  place("/bin/bash-static", "bin/sh");
  for (const program of ["/bin/chmod", "/usr/bin/socat"]) {
    place(program, program);
    for (const [, library = ""] of execFileSync("ldd", [program], { encoding: "utf8" }).matchAll(/(\/\S+) \(0x/g)) place(library, library);
  }
  mkdirSync(join(root, "usr/local/bin"), { recursive: true });
  mkdirSync(join(root, "etc"));
  execFileSync("tar", ["-C", root, "-cf", `${root}.tar`, "."]);
  execFileSync("docker", ["-H", host, "import", `${root}.tar`, `${name}:1`], { stdio: "pipe" });
}
