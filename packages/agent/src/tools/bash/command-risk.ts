import { Risk } from "@guildhall/protocol";

/** Programs that only look. */
const READING = new Set(
  "[ : awk basename cat cd cmp column comm cut date df diff dirname du echo egrep env false fgrep file find fold free git grep head hexdump hostname id jq ls md5sum nl nproc od paste printenv printf ps pwd readlink realpath rg sed seq sha1sum sha256sum sleep sort stat strings tac tail test time tr tree true type uname uniq uptime wc which whoami xxd".split(
    " ",
  ),
);
const READING_GIT = /^git(\s+(-C\s+\S+|--no-pager))*\s+(blame|diff|grep|log|ls-files|rev-parse|shortlog|show|status)(\s|$)/;
/** Reading programs that write or run others when told to. */
const WRITING_OPTIONS =
  /\bsed\b.*\s(-i|--in-place)|\bfind\b.*\s-(delete|exec|execdir|ok|okdir|fprint\w*)\b|\bawk\b.*(system|>)|\bsort\b.*\s-o|\benv\s+\S/;

/** What is hard to take back or reaches beyond the workspace. */
const DANGEROUS = [
  /\brm\s+(-\w*[rRf]|--recursive|--force)/,
  /\b(sudo|su|doas|chroot|nsenter|unshare|mount|umount|mkfs\S*|dd|shred|fdisk|iptables|systemctl|reboot|shutdown|halt)\b/,
  /\bgit\s+(?:\S+\s+)*?(push|reset\s+--hard|clean|filter-branch|gc|reflog\s+expire|update-ref|config)\b/,
  /\bgit\s+(?:\S+\s+)*?(checkout|restore)\s+(--\s+)?\.(\s|$)/,
  /\b(curl|wget)\b[^|;&]*\|\s*(ba|z|da|k)?sh\b/,
  /\b(npm|pnpm|yarn|cargo|twine|gem|docker|podman)\s+(publish|push|login|upload)\b/,
  /\b(kill|pkill|killall)\b/,
  /\bch(mod|own|grp)\s+(-\w*R|--recursive)/,
  /(^|[\s;|&"'=])(\/etc|\/dev\/(?!null|std|tty|fd)|\/proc\/sys|\/sys|~\/\.(ssh|aws|config|gnupg))(\/|\s|$|\b)/,
  /:\(\)\s*\{/,
];

/**
 * How much a command may do, by its words alone: low when every program in it only reads, high for what destroys, escalates or
 * publishes, else medium. A hint for people and policy, no protection: that is the sandbox.
 */
export function commandRisk(command: string): Risk {
  if (DANGEROUS.some((pattern) => pattern.test(command))) return Risk.HIGH;
  return isReading(command) ? Risk.LOW : Risk.MEDIUM;
}

function isReading(command: string): boolean {
  const harmless = command.replace(/\d?>&\d|\d?>\s*\/dev\/null/g, " ");
  if (/[<>`\n]|\$\(/.test(harmless) || WRITING_OPTIONS.test(harmless)) return false;
  return harmless
    .split(/&&|\|\||[|;&]/)
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .every((part) => {
      const program = part.split(/\s+/)[0] ?? "";
      return program === "git" ? READING_GIT.test(part) : READING.has(program);
    });
}
