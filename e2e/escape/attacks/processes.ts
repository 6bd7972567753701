import type { Attack } from "../attack.ts";
import { running } from "../processes.ts";

const PIDS = "process namespace: the host's processes are not there";

/** At processes of the host, and to outlive one's own end. */
export const processAttacks: Attack[] = [
  {
    id: "proc-root",
    title: "reads outside through another process's root",
    by: PIDS,
    script: 'for p in /proc/[0-9]*; do cat "$p/root$OUTSIDE/secret" 2>/dev/null && break; done',
    control: "user",
  },
  {
    id: "proc-environ",
    title: "reads secrets in other processes' environments",
    by: PIDS,
    script: "cat /proc/[0-9]*/environ | tr '\\0' '\\n'",
    control: "user",
  },
  {
    id: "proc-mem",
    title: "reads secrets in other processes' memory",
    by: `${PIDS}; the init is not dumpable`,
    script: "./probe stacks ESCAPE_CANARY=",
    control: "user",
  },
  {
    id: "proc-self-mem",
    title: "writes a file outside, and the sandbox's own programs, by way of its own memory",
    by: "mount namespace: the file is not there; what is mapped to be read alone is copied by the kernel",
    script: './probe self-mem "$OUTSIDE/victim" /run/guildhall/bin/bash',
    control: "user",
  },
  { id: "proc-fd", title: "reads a file that another process holds open", by: PIDS, script: "cat /proc/[0-9]*/fd/9", control: "user" },
  {
    id: "kill-host",
    title: "ends a process of the host",
    by: PIDS,
    script: "kill -0 $HELPER && grep -aq 100000 /proc/$HELPER/cmdline && echo THROUGH",
    control: "user",
  },
  {
    id: "daemon",
    title: "leaves a daemon that outlives its call",
    by: "the init: what descends from an execution ends with it",
    script: "(setsid setsid sleep $MARK < /dev/null &> /dev/null &); sleep 0.3",
    control: "user",
    judge: ({ mark }) => running(mark),
    sample: true,
  },
];
