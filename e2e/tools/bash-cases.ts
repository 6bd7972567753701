import type { BashData } from "./tool-bench.ts";

/** One call and what must come of it. */
export interface BashStep {
  /** A command, or all arguments. */
  call: string | object;
  /** The whole output without its last line, or a pattern for the whole output. */
  output?: string | RegExp;
  status?: "ok" | "error";
  data?: Partial<BashData>;
}

export interface BashCase {
  name: string;
  steps: BashStep[];
}

const ok = (call: string, output: string | RegExp): BashStep => ({ call, output, status: "ok", data: { exit_code: 0, timed_out: false } });
const fails = (call: string, exit_code: number, output?: string | RegExp): BashStep => ({
  call,
  status: "error",
  data: { exit_code, timed_out: false },
  ...(output === undefined ? {} : { output }),
});
const running = (call: object, output?: string | RegExp): BashStep => ({
  call,
  status: "ok",
  data: { exit_code: null, timed_out: true },
  ...(output === undefined ? {} : { output }),
});
/** The shell is gone; the next command works in a fresh one. */
const ends = (call: string | object, exit_code: number): BashStep => ({
  call,
  data: { exit_code, shell_restarted: true },
  output: /the shell ended/,
});

/** What a persistent shell is for. */
export const ordinaryCases: BashCase[] = [
  { name: "output and exit code", steps: [ok("echo hello", "hello\n"), fails("false", 1, ""), fails("(exit 42)", 42)] },
  { name: "standard error in order", steps: [ok("echo a; echo b >&2; echo c", "a\nb\nc\n")] },
  { name: "no output", steps: [ok("true", "")] },
  { name: "the status of the last command", steps: [fails("false", 1), ok("echo $?", "1\n")] },
  {
    name: "the directory carries over",
    steps: [ok("mkdir -p 'a b/c' && cd 'a b/c'", ""), ok('basename "$PWD"', "c\n"), ok("cd -", /work space\n/)],
  },
  { name: "variables carry over", steps: [ok("x=1; export Y=2", ""), ok("echo $x $Y; bash -c 'echo $x,$Y'", "1 2\n,2\n")] },
  { name: "functions carry over", steps: [ok("f() { echo f$1; }", ""), ok("f 1", "f1\n")] },
  { name: "aliases carry over", steps: [ok("alias hi='echo aliased'", ""), ok("hi", "aliased\n")] },
  {
    name: "arrays and declare carry over",
    steps: [ok("declare -A m=([k]=v); declare -a l=(1 2)", ""), ok('echo "${m[k]} ${l[@]}"', "v 1 2\n")],
  },
  {
    name: "options carry over",
    steps: [ok("set -u; shopt -s nullglob", ""), fails("echo $nothing", 1, /unbound variable/), ok("echo *.nothing", "\n")],
  },
  { name: "an unset variable is unset", steps: [ok("Z=1", ""), ok("unset Z; echo ${Z-gone}", "gone\n")] },
  { name: "several commands in a call", steps: [ok("echo 1\necho 2\n\necho 3", "1\n2\n3\n")] },
  { name: "a here-document", steps: [ok("cat <<'E'\n$x `y` \\z\n\tq!\nE", "$x `y` \\z\n\tq!\n")] },
  { name: "a here-document that ends the command", steps: [ok("cat <<E\n$((1 + 1))\nE", "2\n")] },
  { name: "comments", steps: [ok("# only this", ""), ok("echo a # b", "a\n"), ok("echo a\n# last", "a\n")] },
  { name: "an empty command", steps: [ok("", ""), ok("\n\n", "")] },
  { name: "quotes and history characters", steps: [ok(`echo "it's !! \\"q\\" \\$x" '\\n' $'\\x41'`, `it's !! "q" $x \\n A\n`)] },
  { name: "characters beyond ASCII", steps: [ok("echo grüße 日本 👍", "grüße 日本 👍\n"), ok("echo ${#x} | tr 0 ü", /./)] },
  { name: "control characters in a command", steps: [ok("printf '%s' 'a\tb\u0001c' | od -An -c", / {3}a {2}\\t {3}b 001 {3}c\n/)] },
  { name: "a loop over lines", steps: [ok("for i in 1 2; do\n  echo $i\ndone", "1\n2\n")] },
  { name: "a pipeline's status", steps: [ok("false | true", ""), fails("set -o pipefail; false | true", 1)] },
  { name: "a command that is not there", steps: [fails("no-such-command", 127, /command not found/)] },
  { name: "a file that cannot be run", steps: [fails("touch f; ./f", 126, /[Pp]ermission denied/)] },
  { name: "killed by a signal", steps: [fails("bash -c 'kill -9 $$'", 137)] },
  { name: "job control", steps: [ok("sleep 60 & kill %1; wait %1 2>/dev/null; echo over", /over\n/)] },
  { name: "input with the command", steps: [{ call: { command: "read -r x; echo got $x", input: "y" }, output: "got y\n" }] },
  { name: "no final newline", steps: [ok("printf abc", /^abc\n\[exit code 0\]$/)] },
  { name: "carriage returns collapse", steps: [ok("printf '10%%\\r50%%\\r100%%\\n'", "100%\n")] },
  { name: "escape sequences go", steps: [ok("printf '\\033[31mred\\033[0m\\033]0;t\\007\\n'", "red\n")] },
  {
    name: "invalid UTF-8 is replaced",
    steps: [ok("printf 'a\\377b\\n'; printf '\\303'", "a\ufffdb\n\ufffd\n"), ok("echo clean", "clean\n")],
  },
  { name: "CRLF becomes LF", steps: [ok("printf 'a\\r\\nb\\r\\n'", "a\nb\n")] },
  { name: "NUL bytes vanish", steps: [ok("printf 'a\\0b\\n'", "ab\n")] },
  { name: "a long command", steps: [ok(`x='${"a'\\''ü\n".repeat(6000)}'; echo \${#x}`, "24000\n")] },
  { name: "a terminal is there", steps: [ok("[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size", "50 200\n")] },
  { name: "git does not page", steps: [ok("git --version >/dev/null && echo $GIT_PAGER $PAGER", "cat cat\n")] },
  {
    name: "tracing shows the command's own lines only",
    steps: [ok("set -x", ""), ok("echo t", /^\++ echo t\nt\n\[/), ok("set +x", /^\++ set \+x\n\[/)],
  },
  { name: "verbosity shows none of ours", steps: [ok("set -v", ""), ok("echo v", "v\n")] },
  { name: "echo on the terminal shows none of ours", steps: [ok("stty sane", ""), ok("echo e", "e\n")] },
  {
    name: "a prompt of somebody's start-up file is not in the way",
    steps: [
      ok("PS1='> '; PROMPT_COMMAND='echo noise'", ""),
      ok("echo a", "a\n"),
      ok("unset PROMPT_COMMAND; trap - EXIT", ""),
      ok("echo b", "b\n"),
    ],
  },
  { name: "return, break and local at the top level", steps: [fails("return 5", 2), ok("break; echo on", /on\n/), fails("local x=1", 1)] },
  { name: "a multi-line pipeline with a trailing backslash", steps: [ok("echo a \\\n  b |\n  cat", "a b\n")] },
];

/** Programs that ask, run on, and run beside. */
export const interactiveCases: BashCase[] = [
  {
    name: "a question is answered",
    steps: [
      running({ command: "read -p 'Name? ' n; echo hello $n", timeout_s: 0.3 }, /^Name\? \n\[still running/),
      { call: { input: "Ann" }, output: "hello Ann\n", data: { exit_code: 0 } },
    ],
  },
  {
    name: "Enter is added only where it is missing",
    steps: [
      running({ command: "read a; read b; echo $a-$b", timeout_s: 0.2 }),
      running({ input: "1\n", timeout_s: 0.2 }),
      { call: { input: "2" }, output: "1-2\n" },
    ],
  },
  {
    name: "Ctrl-C ends a program",
    steps: [
      running({ command: "sleep 100; echo never", timeout_s: 0.2 }),
      { call: { input: "C-c" }, status: "error", data: { exit_code: 130 } },
      ok("echo on", "on\n"),
    ],
  },
  {
    name: "Ctrl-C ends a loop of the shell",
    steps: [
      running({ command: "while :; do :; done; echo never", timeout_s: 0.2 }),
      { call: { input: "C-c" }, data: { exit_code: 130 } },
      ok("echo on", "on\n"),
    ],
  },
  {
    name: "Ctrl-D is the end of input",
    steps: [
      running({ command: "cat", timeout_s: 0.2 }),
      running({ input: "line" }, /^line\n/),
      { call: { input: "C-d" }, data: { exit_code: 0 } },
    ],
  },
  {
    name: "Ctrl-Z stops a job",
    steps: [
      running({ command: "sleep 100", timeout_s: 0.2 }),
      { call: { input: "C-z" }, data: { exit_code: 148 } },
      ok("kill -9 %1; wait 2>/dev/null; echo on", /on\n/),
    ],
  },
  {
    name: "arrow keys",
    steps: [
      running({ command: "read -rsn3 key; printf '%q\\n' \"$key\"", timeout_s: 0.2 }),
      { call: { input: "Up" }, output: "$'\\E[A'\n" },
    ],
  },
  {
    name: "a program inside a program",
    steps: [
      running({ command: "bash --norc", timeout_s: 0.3 }),
      running({ input: "echo inner" }, /inner/),
      { call: { input: "exit 3" }, data: { exit_code: 3 } },
      ok("echo outer", "outer\n"),
    ],
  },
  {
    name: "a soft time-out, then waiting for the end",
    steps: [
      running({ command: "echo first; sleep 0.6; echo second; exit_code=7; (exit 7)", timeout_s: 0.2 }, /^first\n\[still/),
      { call: { input: "" }, output: "second\n", status: "error", data: { exit_code: 7 } },
    ],
  },
  {
    name: "no second command while one runs",
    steps: [
      running({ command: "sleep 100", timeout_s: 0.1 }),
      { call: "echo no", status: "error", output: /still running: sleep 100/ },
      { call: { input: "C-c" }, data: { exit_code: 130 } },
    ],
  },
  {
    name: "input for nothing",
    steps: [
      { call: { input: "x" }, status: "error", output: /no command is running/ },
      { call: {}, status: "error", output: /give a command/ },
    ],
  },
  {
    name: "a signal to the foreground",
    steps: [
      running({ command: "sleep 100", timeout_s: 0.1 }),
      { call: { input: "SIGTERM" }, data: { exit_code: 143 } },
      ok("echo on", "on\n"),
    ],
  },
  {
    name: "a process in the background",
    steps: [
      running({ command: "echo started; read x; echo got $x; exit 4", background: true }, /^started\n\[p1 is running/),
      ok("echo beside", "beside\n"),
      { call: { process: "p1", input: "word" }, output: /got word\n\[p1 has ended: exit code 4\]/, data: { exit_code: 4, process: "p1" } },
    ],
  },
  {
    name: "background: output since the last look",
    steps: [
      running({ command: "echo 1; sleep 0.4; echo 2; sleep 100", background: true, timeout_s: 0.2 }, /^1\n\[/),
      running({ process: "p1", timeout_s: 0.6 }, /^2\n\[/),
      { call: { process: "p1", input: "C-c" }, data: { exit_code: 130 } },
    ],
  },
  {
    name: "background: signals",
    steps: [
      running({ command: "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.02; done", background: true, timeout_s: 0.3 }, /up/),
      { call: { process: "p1", input: "SIGTERM" }, output: /bye/, data: { exit_code: 9 } },
      { call: { process: "p1", input: "x" }, status: "error", output: /has ended/ },
    ],
  },
  {
    name: "background: starts where the shell stands",
    steps: [
      ok("mkdir d; cd d; export V='a \"b\" $c'", ""),
      { call: { command: 'basename "$PWD"; echo "$V"', background: true }, output: 'd\na "b" $c\n', data: { exit_code: 0 } },
    ],
  },
  {
    name: "background: its end is told with the next command",
    steps: [
      running({ command: "sleep 0.2; exit 6", background: true, timeout_s: 0.01 }),
      ok("sleep 0.5; echo on", /^on\n\[background process p1 has ended \(exit code 6\): sleep 0.2; exit 6\]\n\[exit code 0\]$/),
      ok("echo once", "once\n"),
    ],
  },
  {
    name: "background: no such process",
    steps: [{ call: { process: "p9", input: "" }, status: "error", output: /no background process p9/ }],
  },
  {
    name: "reset ends what runs",
    steps: [running({ command: "sleep 100", timeout_s: 0.1 }), { call: { reset: true }, status: "ok" }, ok("echo fresh", "fresh\n")],
  },
];

/** What ends or cripples other shells. Nothing here may hang. */
export const hardCases: BashCase[] = [
  { name: "set -e; false", steps: [ends("set -e; false", 1), ok("echo on", "on\n"), fails("false", 1)] },
  { name: "exit 3", steps: [ends("exit 3", 3), ok("echo on", "on\n")] },
  { name: "exit in a call of many lines", steps: [ends("echo before\nexit 2\necho never", 2), ok("echo on", "on\n")] },
  { name: "exec true", steps: [ends("exec true", 0), ok("echo on", "on\n")] },
  { name: "exec with a program that fails", steps: [ends("exec sh -c 'exit 7'", 7), ok("echo on", "on\n")] },
  { name: "kill -9 $$", steps: [ends("kill -9 $$", 137), ok("echo on", "on\n")] },
  {
    name: "the fresh shell stands where the old one did",
    steps: [
      ok("mkdir sub; cd sub; export KEPT='it'\"'\"'s \"x\" $y'; f() { :; }", ""),
      ends("exit 1", 1),
      ok('basename "$PWD"; echo "$KEPT"', 'sub\nit\'s "x" $y\n'),
      fails("f", 127),
    ],
  },
  {
    name: "even what changed in the call that ended it",
    steps: [ends("mkdir late; cd late; export L=1; exit 1", 1), ok('basename "$PWD"; echo $L', "late\n1\n")],
  },
  {
    name: "a fresh shell when its directory is gone",
    steps: [ends("mkdir d; cd d; rmdir ../d; exit 1", 1), ok('basename "$PWD"', "work space\n")],
  },
  {
    name: "closed standard output",
    steps: [{ call: "exec 1>&-", output: /streams; they are the terminal again/, data: { exit_code: 0 } }, ok("echo on", "on\n")],
  },
  {
    name: "all standard streams closed",
    steps: [
      { call: "exec 0<&- 1>&- 2>&-", data: { exit_code: 0 } },
      ok("echo on; echo err >&2; read -t 0.01 x; echo $?", /on\nerr\n1\d\d\n/),
    ],
  },
  { name: "output redirected by exec", steps: [{ call: "exec >log; echo inside", output: /terminal again/ }, ok("cat log", "inside\n")] },
  {
    name: "input from a file by exec runs nothing of it",
    steps: [ok("printf 'touch pwned\\nexit 9\\n' > f", ""), { call: "exec < f", data: { exit_code: 0 } }, ok("ls", "f\n")],
  },
  {
    name: "every descriptor closed",
    steps: [{ call: 'for i in {3..250}; do eval "exec $i>&-"; done', data: { shell_restarted: true } }, ok("echo on", "on\n")],
  },
  { name: "an unbalanced quote", steps: [fails('echo "open', 2, /unexpected EOF/), ok("echo on", "on\n")] },
  { name: "an open parenthesis", steps: [fails("echo $(( 1 +", 2), fails("if true; then", 2), ok("echo on", "on\n")] },
  { name: "a here-document without its end", steps: [ok("cat <<E\nbody", /body/), ok("echo on", "on\n")] },
  {
    name: "a child that holds the terminal",
    // setsid leaves its job at once, which bash reports with this command or the next.
    steps: [ok("(sleep 100 &); setsid sleep 100 & echo here", /here\n/), ok("echo on", /^(\[1\].*\n)?on\n\[exit code 0\]$/)],
  },
  {
    name: "exit while a child holds the terminal",
    steps: [ends("(trap '' HUP TERM INT; exec setsid sleep 100) & exit 5", 5), ok("echo on", "on\n")],
  },
  { name: "kill -9 in the middle of a pipeline", steps: [ends("sleep 100 | (kill -9 $$; sleep 100) | cat", 137), ok("echo on", "on\n")] },
  {
    name: "a stopped shell goes on",
    steps: [running({ command: "kill -STOP $$; echo went on", timeout_s: 0.2 }), { call: { input: "SIGCONT" }, output: "went on\n" }],
  },
  { name: "a terminal in raw mode", steps: [ok("stty raw", ""), ok("echo on", "on\n")] },
  {
    name: "a terminal that gives up reading",
    // Bash ends at a read that finds nothing, which may be before or after any of these.
    steps: [{ call: "stty -icanon min 0 time 0" }, { call: "true" }, { call: "true" }, { call: "true" }, ok("echo on", "on\n")],
  },
  {
    name: "hostile settings",
    steps: [ok("IFS=/; set -f -C; shopt -s failglob extglob; set -- a b; PS4=x LC_ALL=C", ""), ok("echo on", "on\n")],
  },
  {
    name: "builtins overridden by functions",
    steps: [ok("printf() { echo no; }; export() { echo no; }; set() { echo no; }; eval() { echo no; }", ""), ok("echo on", "on\n")],
  },
  { name: "few descriptors allowed", steps: [ok("ulimit -n 30", ""), ok("echo on | cat", "on\n")] },
  { name: "a posix shell", steps: [ok("set -o posix", ""), ok("echo on", "on\n")] },
  {
    name: "a trap on exit and on errors",
    steps: [
      ok("trap 'echo err' ERR; trap 'echo dbg >/dev/null' DEBUG", ""),
      fails("false", 1, /err/),
      ends("trap 'echo bye' EXIT; exit 1", 1),
      ok("echo on", "on\n"),
    ],
  },
  {
    name: "the mark in the output of set is no mark",
    steps: [ok("set; declare -f >/dev/null; echo; echo end", /end\n/), ok("echo on", "on\n")],
  },
  {
    name: "a terminal that no longer hands lines on",
    steps: [
      ok("stty inlcr intr _", ""),
      {
        call: { command: "touch ran", timeout_s: 20 },
        status: "error",
        output: /did not take the command/,
        data: { shell_restarted: true },
      },
      ok("ls; echo on", "on\n"),
    ],
  },
];
