import type { Attack } from "../attack.ts";

const FILTER = "seccomp";
const READ_ONLY = "/proc/sys and its like belong to root, who is nobody inside; no /sys";

const opens = (files: string): string => `for f in ${files}; do (exec 3>> $f) 2>/dev/null && echo THROUGH && break; done`;
const probe = (id: string, title: string, name: string, control: Attack["control"], by = FILTER): Attack => ({
  id,
  title,
  by,
  script: `./probe ${name}`,
  control,
});

/** At the kernel: what it gives to whoever asks. */
export const kernelAttacks: Attack[] = [
  { ...probe("ptrace", "takes hold of another process", "ptrace", "user"), sample: true },
  probe("process-vm", "reads another process's memory by system call", "read-memory", "user"),
  probe("keyring", "puts a key into the session's keyring, which no namespace divides", "keyring", "user"),
  { ...probe("io-uring", "asks for an io_uring", "io-uring", "user") },
  probe("bpf", "loads a BPF map", "bpf", "root"),
  probe("perf", "opens a performance counter", "perf", "root"),
  probe("userfaultfd", "handles page faults of its own", "userfaultfd", "user"),
  probe("tiocsti", "types into a terminal", "terminal", "root"),
  probe("old-calls", "goes by the system calls of another architecture", "old-calls", "user"),
  probe("chroot", "changes its root", "chroot", "namespace"),
  {
    id: "user-namespace",
    title: "makes a user namespace, and is root in it",
    by: `${FILTER}; no further user namespaces`,
    script: "unshare --user true && echo THROUGH",
    control: "user",
    sample: true,
  },
  {
    id: "mount",
    title: "mounts",
    by: `${FILTER}, no capability`,
    script: "mkdir -p m; mount -t tmpfs none m && echo THROUGH",
    control: "namespace",
  },
  {
    id: "remount",
    title: "makes what is read-only writable by mounting it anew",
    by: `${FILTER}, no capability`,
    script:
      "mkdir -p r; mount --bind . r; mount -o remount,bind,ro r && mount -o remount,bind,rw r && echo THROUGH || (mount -o remount,rw /usr && echo THROUGH)",
    control: "namespace",
  },
  {
    id: "core-pattern",
    title: "names the program that the kernel starts at a crash",
    by: READ_ONLY,
    script: opens("/proc/sys/kernel/core_pattern"),
    control: "root",
    sample: true,
  },
  {
    id: "proc-sys",
    title: "changes settings of the kernel, or has it restart the machine",
    by: READ_ONLY,
    script: opens("/proc/sysrq-trigger /proc/sys/kernel/modprobe /proc/sys/vm/drop_caches"),
    control: "root",
  },
  {
    id: "release-agent",
    title: "names the program that a cgroup or a device starts",
    by: "no /sys; cgroups belong to root",
    script: opens("/sys/fs/cgroup/*/release_agent /sys/kernel/uevent_helper /sys/fs/cgroup/cgroup.procs"),
    control: "root",
  },
  {
    id: "leave-cgroup",
    title: "moves to a cgroup without limits",
    by: "no /sys; cgroups belong to root",
    script: opens("/sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/cgroup.procs"),
    control: "root",
  },
];
