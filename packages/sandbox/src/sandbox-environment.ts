import type { SandboxSpec } from "@guildhall/core";

import { HOME, USER_NAME } from "./bubblewrap/system-files.ts";
import { wayOutEnvironment } from "./network/way-out.ts";
import { searchPath } from "./sandbox-paths.ts";
import { TOOLKIT_MOUNT } from "./toolkit.ts";

/** What every command in an isolated sandbox has in its environment; `system`: what an image adds, beneath ours. */
export function sandboxEnvironment(spec: SandboxSpec, system: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    ...system,
    HOME,
    LANG: "C.UTF-8",
    LOGNAME: USER_NAME,
    PATH: searchPath(spec.toolchain, `${TOOLKIT_MOUNT}/bin`, system["PATH"]),
    SHELL: `${TOOLKIT_MOUNT}/bin/bash`,
    USER: USER_NAME,
    ...(spec.wayOut === undefined ? NO_WAY_OUT : wayOutEnvironment()),
    ...spec.env,
  };
}

/** Package managers ask again for minutes otherwise, where nothing can answer. */
const NO_WAY_OUT = { npm_config_fetch_retries: "0", PIP_RETRIES: "0", CARGO_NET_RETRY: "0" };
