import type { Attack } from "../attack.ts";

const MIB = 2 ** 20;

/** Takes more than its share. */
export const resourceAttacks: Attack[] = [
  {
    id: "fork-bomb",
    title: "starts 200 processes where 60 are allowed",
    by: "cgroup pids, or RLIMIT_NPROC in the user namespace",
    script: "./probe forks 200",
    limits: { processes: 60 },
    control: "user",
    sample: true,
  },
  {
    id: "memory-bomb",
    title: "takes 400 MiB of memory where 96 are allowed",
    by: "cgroup memory, or the init and RLIMIT_DATA",
    script: "./probe memory 400",
    limits: { memoryBytes: 96 * MIB },
    control: "user",
  },
  {
    id: "shm-bomb",
    title: "fills shared memory with 300 MiB where 96 are allowed",
    by: "bounded private file systems",
    script: "f=/dev/shm/guildhall-escape-$MARK; head -c 300M /dev/zero > $f && echo THROUGH; rm -f $f",
    limits: { memoryBytes: 96 * MIB },
    control: "user",
  },
  {
    id: "disk-bomb",
    title: "writes 400 MiB where 32 are allowed",
    by: "the init, by the file system's count",
    script: "head -c 400M /dev/zero > big && echo THROUGH",
    limits: { diskBytes: 32 * MIB },
    control: "user",
    sample: true,
  },
  {
    id: "inode-bomb",
    title: "makes 60,000 files where 1,000 are allowed",
    by: "the init, by the file system's count",
    script: "./probe files 60000",
    limits: { diskFiles: 1000 },
    control: "user",
  },
  {
    id: "large-file",
    title: "writes a file of 8 MiB where 1 is allowed",
    by: "RLIMIT_FSIZE",
    script: "head -c 8M /dev/zero > large && echo THROUGH",
    execution: { fileBytes: MIB },
    control: "user",
  },
  {
    id: "archive-bomb",
    title: "unpacks 400 MiB from half a megabyte where 32 are allowed",
    by: "the init, by the file system's count",
    script: "head -c 400M /dev/zero | gzip -1 > bomb.gz; gunzip -c bomb.gz > unpacked && echo THROUGH",
    limits: { diskBytes: 32 * MIB },
    control: "user",
  },
  {
    id: "descriptor-bomb",
    title: "opens 1,000 files where 100 are allowed",
    by: "RLIMIT_NOFILE",
    script: "./probe descriptors 1000",
    execution: { openFiles: 100 },
    control: "user",
  },
  {
    id: "cpu-bomb",
    title: "takes 3 s of CPU time where half a second is allowed",
    by: "the init, over all that descends from the command",
    script: "./probe spin 3",
    execution: { cpuSeconds: 0.5 },
    control: "user",
  },
  {
    id: "wall-bomb",
    title: "stays for 3 s where half a second is allowed",
    by: "the init's clock",
    script: "sleep 3; echo THROUGH",
    execution: { wallSeconds: 0.5 },
    control: "user",
  },
];
