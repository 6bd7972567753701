import type { ActionRisk, CommandJudge } from "@guildhall/core";
import { Risk } from "@guildhall/protocol";

/** Ways in which Python and JavaScript start other programs. */
const STARTS =
  /\b(subprocess|os\.(system|popen|exec\w*|spawn\w*|posix_spawn)|pty\.spawn|child_process|exec(File)?(Sync)?\(|spawn(Sync)?\(|\$`)/;
/** Ways out of the sandbox, and of hiding what is run. */
const WAYS: ReadonlyArray<[RegExp, string]> = [
  [
    /\b(requests|httpx|session|client|axios|got)\s*\.\s*(post|put|patch|delete)\s*\(|method\s*[:=]\s*["'](POST|PUT|PATCH|DELETE)["']/i,
    "it sends data out",
  ],
  [/\b(smtplib|ftplib|paramiko|telnetlib)\b/, "it moves data to or from other machines"],
  [
    /\b(exec|eval|Function)\s*\(\s*[^)]*\b(b64decode|fromhex|atob|decompress|requests|urlopen|fetch|Buffer\.from)\b/,
    "what it runs is known only when it runs",
  ],
];

const LITERAL = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g;
const LIST = /\[\s*(?:(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')\s*,?\s*)+\]/g;

/**
 * The risk of Python or JavaScript: medium, as of any program that the sandbox holds, and high where it plainly does what a shell would be asked
 * about: starts such a command, opens such a file, or sends data out. What is built at run time cannot be seen; the sandbox is there for that.
 */
export function codeRisk(code: string, judge: CommandJudge): ActionRisk {
  const reasons = WAYS.filter(([way]) => way.test(code)).map(([, reason]) => reason);
  const literals = [...code.matchAll(LITERAL)].map(([text]) => text.slice(1, -1));
  const paths = literals.filter((text) => /^(~|\/|\.)[^\s"'`$]*$/.test(text));
  const scripts = paths.map((path) => `cat ${path}`);
  if (STARTS.test(code)) {
    scripts.push(...literals.filter((text) => /^[\w./-]+\s+\S/.test(text)));
    for (const [list] of code.matchAll(LIST))
      scripts.push([...list.matchAll(LITERAL)].map(([text]) => quoted(text.slice(1, -1))).join(" "));
  }
  for (const script of scripts) {
    const judged = judge.judge(script);
    if (judged.risk === Risk.HIGH) reasons.push(...judged.reasons);
  }
  return reasons.length === 0 ? { risk: Risk.MEDIUM, reasons: [] } : { risk: Risk.HIGH, reasons: [...new Set(reasons)] };
}

function quoted(word: string): string {
  return /^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
