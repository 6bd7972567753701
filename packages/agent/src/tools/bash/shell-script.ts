/**
 * What is said to the kept bash and how it answers. Commands go in as lines on its terminal, read by bash itself at its top level, so that
 * Ctrl-C, `declare`, `return` and job control mean what they mean to a person at a prompt. The answers come on two ways: a mark
 * between the bytes of the terminal says where a command's output begins and ends; a record on the control pipe says how it ended.
 */

/** Descriptors of the kept shell: the control pipe, and the terminal whatever happens to standard output. */
const CONTROL = 247;
const TERMINAL = 248;

/** In canonical mode a terminal takes lines of at most 4,095 bytes. */
const LINE_BYTES = 3_600;

/**
 * Makes a bash that has just started ours. A shell that can no longer report, because somebody closed our descriptors, ends itself: that
 * is seen. `mark` is a word that nobody can guess; `restore` is shell code to run first. */
export function setUpLines(mark: string, restore: string): string[] {
  const report = `builtin printf '%s\\0%s\\0%s\\0%s\\0' "$1" "$2" "$3" "$PWD"; builtin export -p; builtin printf '\\0'`;
  const script = `
exec ${CONTROL}>&3 3>&- ${TERMINAL}>&1
command stty -echo -onlcr 2>/dev/null
unset MAILCHECK HISTFILE TMOUT
__gh_r=0 __gh_last=0 __gh_st=0 __gh_x= __gh_xs= __gh_n=0
__gh_report() { { ${report}; } >&${CONTROL}; }
__gh_b() {
  __gh_n=$1 __gh_r=1 PS1= PS2= PROMPT_COMMAND=$__gh_pc
  builtin printf '\\e]gh;${mark};s;%s\\a' "$1" >&${TERMINAL}
  case $- in *e*) builtin return 0;; esac
  builtin return "$__gh_last"
}
__gh_e() {
  case $__gh_r in 0) builtin return 0;; esac
  __gh_r=0 __gh_last=$__gh_st __gh_xs=$__gh_x PS1= PS2= PROMPT_COMMAND=$__gh_pc
  [[ -t 0 && -t 1 && -t 2 ]] && __gh_k=end || __gh_k=redirected
  exec 0<&${TERMINAL} 1>&${TERMINAL} 2>&${TERMINAL}
  { builtin printf '\\e]gh;${mark};e;%s\\a' "$__gh_n" >&${TERMINAL} &&
    __gh_report "$__gh_k" "$__gh_n" "$__gh_last"; } || builtin exit "$__gh_last"
}
__gh_pc='${SAVE_STATUS}; __gh_e'
trap '__gh_report last "$__gh_n" "$?"' EXIT
${restore}
__gh_r=1 __gh_st=0
__gh_e`;
  return evalLines(script, "", "");
}

/** Remembers the status, and turns off what would print our own lines: tracing and verbosity. */
const SAVE_STATUS = "{ __gh_st=$? __gh_x=${-//[!xv]/}; builtin set +xv; } 2>/dev/null";

/** Runs a command as number `number`. */
export function commandLines(number: number, command: string): string[] {
  return evalLines(`${command}\n`, `__gh_b ${number}; `, `; ${SAVE_STATUS}; __gh_e`, "${__gh_xs:+set -$__gh_xs;}");
}

/** Lines that evaluate `script` at the top level, however long it is. */
function evalLines(script: string, before: string, after: string, prefix = ""): string[] {
  const pieces = quote(script);
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return [`${before}builtin eval "${prefix}"${only}${after}\n`];
  const assignments = pieces.map((piece, index) => `__gh_c${index === 0 ? "" : "+"}=${piece}\n`);
  return [...assignments, `${before}builtin eval "${prefix}$__gh_c"${after}\n`];
}

/** The text as ANSI-C quoted words, each short enough for a line and free of what a terminal or history expansion would act upon. */
function quote(text: string): string[] {
  const words: string[] = [];
  let word = "";
  let size = 0;
  for (const char of text) {
    const escaped = /[\\'!\x00-\x1f\x7f]/.test(char) ? `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}` : char;
    const bytes = Buffer.byteLength(escaped);
    if (size + bytes > LINE_BYTES) {
      words.push(`$'${word}'`);
      word = "";
      size = 0;
    }
    word += escaped;
    size += bytes;
  }
  words.push(`$'${word}'`);
  return words;
}

/** A record of the control pipe. */
export interface ShellReport {
  /** A command's end; the same when it had redirected the shell's standard streams, which are the terminal again; the shell's end. */
  kind: "end" | "redirected" | "last";
  number: number;
  status: number;
  cwd: string;
  /** Shell code that exports what the shell exports. */
  exports: string;
}

/** Takes records apart, whatever pieces they come in. */
export class ReportReader {
  readonly #decoder = new TextDecoder();
  #rest = "";

  push(bytes: Uint8Array): ShellReport[] {
    const fields = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\0");
    const reports: ShellReport[] = [];
    while (fields.length > 5) {
      const [kind, number, status, cwd, exports] = fields.splice(0, 5);
      reports.push({
        kind: kind === "last" || kind === "redirected" ? kind : "end",
        number: Number(number),
        status: Number(status),
        cwd: cwd ?? "",
        exports: exports ?? "",
      });
    }
    this.#rest = fields.join("\0");
    return reports;
  }
}
