/** Word boundaries of a command as people write it. */
const at = String.raw`(?:^|[\s;|&("'\x60=/])`;

const COMMANDS: Array<[RegExp, string]> = [
  [new RegExp(`${at}git\\s+(?:\\S+\\s+){0,6}?(?:push|send-email)\\b`), "git push"],
  [
    new RegExp(`${at}(?:npm|pnpm|yarn|cargo|twine|gem|poetry|uv|docker|podman|helm)\\s+(?:\\S+\\s+){0,3}?(?:publish|push|upload)\\b`),
    "a publication",
  ],
  [
    new RegExp(`${at}gh\\s+(?:pr|issue|release|gist|repo|secret|workflow|api)\\s+\\S*(?:create|comment|edit|upload|set|run|merge|-X|-f)`),
    "gh",
  ],
  [
    new RegExp(
      `${at}curl\\b[^\\n]{0,2000}\\s(?:-[a-zA-Z]*[dFT]|--data\\S*|--form\\S*|--json|--upload-file|--url-query|-X\\s*(?!GET|HEAD)[A-Z]+|--request[ =](?!GET|HEAD)[A-Z]+)`,
    ),
    "curl",
  ],
  [new RegExp(`${at}wget\\b[^\\n]{0,2000}\\s--(?:post|body|method)`), "wget"],
  [new RegExp(`${at}(?:curl|wget)\\b[^\\n]{0,2000}(?:\\$[({\\w]|\\x60)`), "a computed address"],
  [new RegExp(`${at}(?:scp|sftp|ssh|ftp|nc|ncat|netcat|telnet|socat|rclone|sendmail|mail|aws|gsutil|az|s3cmd)\\s`), "a program that sends"],
  [new RegExp(`${at}rsync\\b[^\\n]{0,2000}\\s\\S+:`), "rsync"],
  [/\/dev\/(?:tcp|udp)\//, "a socket"],
];

const CODE: Array<[RegExp, string]> = [
  [/\b(?:requests|httpx|session|client|axios|got)\.(?:post|put|patch|delete)\s*\(/i, "a request with a body"],
  [/\bmethod\s*[:=]\s*["'`](?:POST|PUT|PATCH|DELETE)/i, "a request with a body"],
  [/\burlopen\s*\([^)]*,|\bRequest\s*\([^)]*data/, "a request with a body"],
  [/\b(?:socket|smtplib|ftplib|paramiko|http\.client|node:net|node:dgram|node:tls)\b|require\(\s*["'](?:net|dgram|tls)["']/, "a socket"],
];

const LONGEST = 64_000;

const READERS = new RegExp(`${at}(?:curl|wget|aria2c|lynx|w3m|elinks|xh|gh)\\s`);
const ADDRESSES =
  /\bhttps?:\/\/(?!localhost\b|127\.0\.0\.1\b|\[::1\])|\b(?:curl|wget|xh)\s+(?:-\S+\s+)*(?!localhost|127\.|http)[\w.-]+\.[a-z]{2,}/i;

/** By which word a command would send data out of the sandbox; undefined: none is known. By its words alone: the wall is the network policy. */
export function leavingByCommand(text: string | undefined): string | undefined {
  if (text !== undefined && text.length > LONGEST) return "a command too long to look through";
  return text === undefined ? undefined : COMMANDS.find(([pattern]) => pattern.test(text))?.[1];
}

/** The same for a program's source, which may start commands too. */
export function leavingByCode(text: string | undefined): string | undefined {
  return text === undefined ? undefined : (CODE.find(([pattern]) => pattern.test(text))?.[1] ?? leavingByCommand(text));
}

/** Whether a command shows what the world says; undefined: by its words it does not. */
export function broughtByCommand(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= LONGEST && READERS.test(text) && (ADDRESSES.test(text) || /\bgh\s/.test(text))
    ? "what a command brought from the network"
    : undefined;
}
