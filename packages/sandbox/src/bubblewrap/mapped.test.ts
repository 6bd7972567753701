import assert from "node:assert/strict";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { BubblewrapProvider } from "./provider.ts";

const MIB = 2 ** 20;
/** Forty files of 4 MiB, of each of which one page is mapped and nothing open; `named`: for a while each still has its name. */
const hoard = (named: boolean): string => `
import ctypes, os, time
libc = ctypes.CDLL(None)
for number in range(40):
    name = "file%d" % number
    fd = os.open(name, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * 4 * ${MIB})
    libc.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_long(0))
    os.close(fd)
    if ${named ? "True" : "False"} and number % 4 == 3: time.sleep(1.2)
    if not ${named ? "True" : "False"} or number % 4 == 3:
        for old in range(number - 3 if ${named ? "True" : "False"} else number, number + 1): os.unlink("file%d" % old)
    print(number, flush=True)
    time.sleep(0.05)
`;

describe("files without a name that are mapped alone", () => {
  for (const named of [false, true]) {
    it(`count as what they are, ${named ? "when they had one for a while" : "or as much as they may be"}`, async () => {
      const root = await mkdtemp(join(tmpdir(), "guildhall-mapped-"));
      const provider = new BubblewrapProvider({ stateDir: join(root, "state") });
      const ballast = await open(join(root, "ballast"), "w");
      try {
        await mkdir(join(root, "workspace"));
        let size = 0;
        for (; size < 400 * MIB; size += 8 * MIB) await ballast.write(Buffer.alloc(8 * MIB, "o"));
        await ballast.sync();
        const sandbox = await provider.create({
          id: `mapped-${process.pid}`,
          workspace: join(root, "workspace"),
          limits: { diskBytes: 24 * MIB },
        });
        // Others free more than is written: what the file system tells is of no use.
        await ballast.truncate(0);
        await ballast.sync();
        const execution = await sandbox.exec({ argv: ["/usr/bin/python3", "-c", hoard(named)] });
        for await (const _ of execution.output);
        assert.equal((await execution.exit).limit, "disk");
      } finally {
        await ballast.close();
        await provider.close();
        await rm(root, { recursive: true, force: true });
      }
    });
  }
});
