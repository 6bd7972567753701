import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { findHierarchies } from "./hierarchies.ts";

/** A machine's files as text, and which directories may be written. */
function machine(files: Record<string, string>, writable: string[]) {
  const read = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new RangeError(path), { code: "ENOENT" });
    return text;
  };
  return findHierarchies(read, (path) => writable.includes(path));
}

describe("cgroups", () => {
  it("of version 1 are used below our own, one a controller", () => {
    const found = machine(
      {
        "/proc/self/mounts":
          "cgroup /cg/memory cgroup rw,memory 0 0\ncgroup /cg/cpu cgroup rw,cpu,cpuacct 0 0\ncgroup /cg/pids cgroup rw,pids 0 0\ncgroup2 /cg/unified cgroup2 rw 0 0\n",
        "/proc/self/cgroup": "4:memory:/me\n3:cpu,cpuacct:/\n2:pids:/other\n0::/\n",
      },
      ["/cg/memory/me", "/cg/cpu", "/cg/unified"],
    );
    assert.deepEqual(found, { memory: "/cg/memory/me", cpu: "/cg/cpu", pids: undefined, unified: "/cg/unified", version: 1 });
  });

  const systemd = {
    "/proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
    "/proc/self/cgroup": "0::/user.slice/user-1000.slice/user@1000.service/app.slice/guild.service\n",
    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/cgroup.subtree_control": "memory pids\n",
    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.subtree_control": "cpu memory pids\n",
    "/sys/fs/cgroup/cgroup.subtree_control": "cpuset cpu io memory pids\n",
  };
  const slice = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice";

  it("of version 2 are made in the nearest that hands out controllers", () => {
    const found = machine(systemd, [`${slice}/guild.service`, slice, "/sys/fs/cgroup"]);
    assert.deepEqual(found, { memory: slice, pids: slice, cpu: undefined, unified: slice, version: 2 });
  });

  it("of version 2 are not to be had where nothing is delegated", () => {
    assert.deepEqual(machine(systemd, []), { memory: undefined, pids: undefined, cpu: undefined, unified: undefined, version: undefined });
  });

  it("are missed without complaint where there are none", () => {
    assert.equal(machine({}, []).version, undefined);
  });
});
