import { Risk } from "@guildhall/protocol";

import type { SimpleCommand, Word } from "./commands.ts";
import { type Finding, high, medium, type ShellRisk } from "./finding.ts";
import { gitRule } from "./git-command.ts";
import { isOutside } from "./paths.ts";

/** What one program's arguments mean; `judge` is for scripts within them. */
type Rule = (command: SimpleCommand, judge: (script: string) => ShellRisk) => Finding[];

const nothing: Rule = () => [];
const always =
  (risk: Risk, reason: string): Rule =>
  () => [{ risk, reason }];

const texts = (command: SimpleCommand): string[] => command.arguments.map((word) => word.text);
const has = (command: SimpleCommand, ...flags: string[]): boolean =>
  texts(command).some((text) => flags.includes(text) || flags.some((flag) => flag.startsWith("--") && text.startsWith(`${flag}=`)));
/** `-rf` holds r and f. */
const hasLetter = (command: SimpleCommand, letters: RegExp): boolean =>
  texts(command).some((text) => /^-[A-Za-z]+$/.test(text) && letters.test(text));
const operands = (command: SimpleCommand): Word[] => command.arguments.filter((word) => !word.text.startsWith("-"));
const first = (command: SimpleCommand): string => operands(command)[0]?.text ?? "";

/** Rules by a program's name; the names of a line share one. */
export const PROGRAMS: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...rule(
    "cat head tail less more ls tree stat file wc sort uniq cut tr nl tac column comm diff cmp grep egrep fgrep rg ag fd pwd cd pushd popd echo printf true false test [ : sleep date cal which type command hash basename dirname realpath readlink du df free uptime ps pgrep id whoami groups uname hostname locale env printenv jq yq md5sum sha1sum sha256sum cksum seq yes expr bc dc factor tput clear man info help history jobs fg bg wait read local declare typeset readonly set shopt return exit break continue shift trap umask getopts let alias unalias strings od xxd hexdump nproc lscpu lsblk lsof vmstat iostat top htop watch time timeout nice tee rev paste join fold fmt pr expand iconv zcat zgrep",
    readers,
  ),
  ...rule(
    "make cmake ninja meson gcc g++ cc c++ clang clang++ ld ar go cargo rustc javac java mvn gradle gradlew dotnet tsc eslint oxlint prettier biome jest vitest mocha pytest tox ruff black mypy flake8 pylint rspec rake phpunit ctest bazel buck2 swift zig ghc stack cabal mix elixir scalac sbt kotlinc nim vite webpack rollup esbuild rolldown",
    builders,
  ),
  ...rule("mkdir touch cp mv ln install rmdir patch", movers),
  ...rule("rm unlink shred", removers),
  ...rule("sed awk gawk perl", editors),
  ...rule("find", findRule),
  ...rule("xargs parallel", wrapped),
  ...rule("nohup stdbuf setsid exec builtin ionice chrt", wrapped),
  ...rule("sh bash dash zsh ksh fish", shells),
  ...rule("eval source .", evaluators),
  ...rule("python python2 python3 node deno bun ruby php lua tsx ts-node Rscript julia", interpreters),
  ...rule("git", gitRule),
  ...rule("curl wget http https xh aria2c", fetchers),
  ...rule("npm pnpm yarn npx pip pip3 uv poetry pipx gem bundle composer conda corepack cargo-install brew", packageManagers),
  ...rule("apt apt-get dpkg yum dnf apk pacman zypper snap", always(Risk.MEDIUM, "it changes the system's packages")),
  ...rule("tar unzip zip gzip gunzip bzip2 xz 7z zstd", archives),
  ...rule("chmod chown chgrp setfacl chattr", permissions),
  ...rule("kill pkill killall", killers),
  ...rule("sudo su doas pkexec runuser setpriv newgrp", always(Risk.HIGH, "it gains rights")),
  ...rule("ssh scp sftp rsync ftp telnet nc ncat netcat socat rclone", always(Risk.HIGH, "it moves data to or from other machines")),
  ...rule("docker podman nerdctl kubectl helm docker-compose", containers),
  ...rule("terraform tofu pulumi aws gcloud az gh glab heroku flyctl vercel netlify firebase doctl ansible ansible-playbook", clouds),
  ...rule(
    "dd mkfs mkfs.ext4 fdisk parted mount umount losetup swapon modprobe insmod rmmod sysctl iptables nft ip ifconfig route systemctl service shutdown reboot halt poweroff init crontab at batch useradd usermod userdel passwd visudo chroot unshare nsenter bwrap gdb strace ltrace ptrace perf bpftrace",
    always(Risk.HIGH, "it changes the machine, looks into other processes or runs later"),
  ),
  ...rule("psql mysql sqlite3 mongo mongosh redis-cli", databases),
  ...rule("truncate split csplit", always(Risk.MEDIUM, "it rewrites files")),
  ...rule("base64 base32 openssl gpg", always(Risk.LOW, "")),
  ...rule("dig nslookup host ping traceroute whois", always(Risk.MEDIUM, "a name that is looked up can carry data out")),
  ...rule("export unset", exporters),
  ...rule("xdg-open open start osascript", always(Risk.HIGH, "it opens programs on a person's desktop")),
]);

function rule(names: string, judged: Rule): Array<[string, Rule]> {
  return names.split(" ").map((name) => [name, judged]);
}

function readers(command: SimpleCommand, judge: (script: string) => ShellRisk): Finding[] {
  const name = command.name.text.replace(/^.*\//, "");
  if (name === "tee")
    return operands(command)
      .filter((word) => isOutside(word.text))
      .map((word) => high(`it writes outside the workspace (${word.text})`));
  if (["time", "timeout", "nice", "command", "watch", "env"].includes(name)) return wrapped(command, judge);
  if (name === "trap") return evaluators(command, judge);
  if (name === "fd" && has(command, "-x", "--exec", "-X", "--exec-batch")) return wrapped(command, judge);
  return [];
}

function builders(command: SimpleCommand): Finding[] {
  const verb = first(command);
  if (verb === "publish" || verb === "deploy" || verb === "login") return [high(`${command.name.text} ${verb} reaches a registry`)];
  if (verb === "install" || verb === "add" || verb === "get" || verb === "restore")
    return [medium(`${command.name.text} ${verb} brings code from elsewhere`)];
  return [];
}

function movers(command: SimpleCommand): Finding[] {
  const target = operands(command).at(-1)?.text ?? "";
  if (isOutside(target)) return [high(`it writes outside the workspace (${target})`)];
  return command.name.text.endsWith("mv") ? [medium("it moves files")] : [];
}

function removers(command: SimpleCommand): Finding[] {
  const targets = operands(command);
  const wide = targets.find(
    (word) => isOutside(word.text) || /^(\/|\*|\.|\.\/|\.\/\*|\.git)\/?\*?$/.test(word.text) || /(^|\/)\.git(\/|$)/.test(word.text),
  );
  if (wide !== undefined) return [high(`it removes ${wide.text}`)];
  if (targets.some((word) => word.dynamic && /^["']?\$/.test(word.text))) return [high("what it removes is known only when it runs")];
  return [medium("it removes files")];
}

function editors(command: SimpleCommand): Finding[] {
  const name = command.name.text.replace(/^.*\//, "");
  const script = texts(command).join(" ");
  if (name === "perl" && hasLetter(command, /e/) && /\b(system|exec|qx|socket|unlink)\b|`/.test(script))
    return [high("its program runs other programs")];
  if (name.endsWith("awk") && /system\s*\(|\|\s*getline|\|\s*"/.test(script)) return [high("its program runs other programs")];
  if (name === "sed" && /(^|[;{}\s])(e|w)\s|\/e\b/.test(script.replace(/^.*?(['"])/, "")) && /s\/[^/]*\/[^/]*\/\w*e/.test(script))
    return [high("its program runs other programs")];
  return has(command, "-i", "--in-place") || hasLetter(command, /i/) || texts(command).some((text) => /^-i\S/.test(text))
    ? [medium("it rewrites files in place")]
    : [];
}

function findRule(command: SimpleCommand, judge: (script: string) => ShellRisk): Finding[] {
  const words = texts(command);
  if (words.includes("-delete"))
    return [isOutside(first(command)) ? high("it removes files outside the workspace") : medium("it removes files")];
  const at = words.findIndex((text) => /^-(exec|execdir|ok|okdir)$/.test(text));
  if (at < 0) return words.some((text) => text.startsWith("-fprint")) ? [medium("it writes files")] : [];
  const inner = command.arguments.slice(at + 1).filter((word) => !["{}", ";", "+"].includes(word.text));
  return fromScript(judge(inner.map((word) => word.source).join(" ")));
}

/** Programs that run their arguments as a command. */
function wrapped(command: SimpleCommand, judge: (script: string) => ShellRisk): Finding[] {
  const words = texts(command);
  let at = 0;
  while (
    at < words.length &&
    (words[at]?.startsWith("-") === true ||
      /^[A-Za-z_]\w*=/.test(words[at] ?? "") ||
      /^\d+(\.\d+)?[smhd]?$/.test(words[at] ?? "") ||
      words[at] === "{}")
  )
    at += 1;
  const inner = command.arguments
    .slice(at)
    .map((word) => word.source)
    .join(" ");
  return inner === "" ? [] : fromScript(judge(inner));
}

function shells(command: SimpleCommand, judge: (script: string) => ShellRisk): Finding[] {
  if (command.piped) {
    const source = command.upstream.some((name) => /^(curl|wget|http|https|nc)$/.test(name))
      ? "what comes from the network"
      : "what another command prints";
    return [high(`it runs ${source}`)];
  }
  const words = command.arguments;
  const at = words.findIndex((word) => /^-[a-z]*c$/.test(word.text));
  if (at < 0) return words.some((word) => word.dynamic) ? [high("which script it runs is known only when it runs")] : [];
  const script = words[at + 1];
  return script === undefined || script.dynamic ? [high("its script is known only when it runs")] : fromScript(judge(script.text));
}

function evaluators(command: SimpleCommand, judge: (script: string) => ShellRisk): Finding[] {
  const name = command.name.text;
  if (name === "source" || name === ".")
    return command.arguments[0]?.dynamic === true ? [high("which file it runs is known only when it runs")] : [];
  if (command.arguments.some((word) => word.dynamic)) return [high("what it evaluates is known only when it runs")];
  return fromScript(judge((name === "trap" ? texts(command).slice(0, 1) : texts(command)).join(" ")));
}

const REACHES_OUT =
  /\b(subprocess|os\.(system|popen|exec|remove|unlink)|shutil\.rmtree|socket|urllib|requests|httpx|http\.client|child_process|execSync|spawn|fetch\(|net\.connect|https?\.(get|request)|rmSync|Net::HTTP|open-uri|Kernel\.exec|shell_exec|curl_exec|eval\()/;

function interpreters(command: SimpleCommand): Finding[] {
  if (command.piped && command.upstream.some((name) => /^(curl|wget)$/.test(name))) return [high("it runs what comes from the network")];
  const words = command.arguments;
  if (words[0]?.text === "-m" && /^(pip|http\.server|smtpd|ensurepip)$/.test(words[1]?.text ?? ""))
    return [medium(`it runs ${words[1]?.text}`)];
  const at = words.findIndex((word) => /^-{1,2}(c|e|eval|p|print|r)$/.test(word.text));
  if (at >= 0) {
    const program = words[at + 1];
    if (program === undefined || program.dynamic) return [high("its program is known only when it runs")];
    if (REACHES_OUT.test(program.text)) return [medium("its program starts others, removes files or uses the network")];
  }
  return [];
}

function fetchers(command: SimpleCommand): Finding[] {
  const words = texts(command);
  const uploads = [
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "--data-urlencode",
    "-F",
    "--form",
    "-T",
    "--upload-file",
    "--json",
    "--post-data",
    "--post-file",
    "--body-file",
    "--method",
  ];
  if (
    words.some((text) =>
      uploads.some(
        (flag) =>
          text === flag ||
          (flag.startsWith("--") && text.startsWith(`${flag}=`)) ||
          (/^-[dFT]$/.test(flag) && text.startsWith(flag) && text.length > 2),
      ),
    )
  )
    return [high("it sends data out")];
  const method = words.findIndex((text) => text === "-X" || text === "--request");
  if (method >= 0 && !/^(GET|HEAD|OPTIONS)$/i.test(words[method + 1] ?? "")) return [high("it changes something elsewhere")];
  if (command.piped || words.some((text) => /\$\(|`|\$\{?\w/.test(text))) return [high("what it asks for can carry data out")];
  if (words.some((text) => /^(file|gopher|dict|ldap|ftp|scp|smb):/i.test(text)))
    return [high("it uses a protocol that reaches local files or other services")];
  if (words.some((text) => /^(https?:\/\/)?(localhost|127\.|\[::1\]|0\.0\.0\.0)/.test(text))) return [];
  return [medium("it uses the network")];
}

function packageManagers(command: SimpleCommand): Finding[] {
  const words = texts(command);
  const verb = first(command);
  const name = command.name.text.replace(/^.*\//, "");
  if (/^(publish|unpublish|deprecate|login|logout|adduser|token|owner|access|dist-tag|push|yank|signin)$/.test(verb))
    return [high(`${name} ${verb} reaches a registry with credentials`)];
  if (verb === "config" || verb === "set")
    return words.includes("get") || words.includes("list") ? [] : [high(`${name}'s configuration decides where code comes from`)];
  if (name === "npx" || name === "pipx" || ["dlx", "x", "exec", "create", "init"].includes(verb))
    return verb === "init" && name === "npm" ? [] : [medium(`${name} runs a package from elsewhere`)];
  if (
    /^(i|install|ci|add|update|upgrade|up|sync|require|remove|uninstall|rm|un|download|link|global|tool|self)$/.test(verb) ||
    (name === "yarn" && verb === "") ||
    (name === "bundle" && verb === "")
  )
    return [medium(`${name} brings code from elsewhere and may run it`)];
  return [];
}

function archives(command: SimpleCommand): Finding[] {
  const words = texts(command);
  const at = words.findIndex((text) => text === "-C" || text === "-d");
  if (at >= 0 && isOutside(words[at + 1] ?? "")) return [high(`it unpacks outside the workspace (${words[at + 1]})`)];
  if (
    words.some(
      (text) =>
        /^--(to-command|checkpoint-action|use-compress-program|unzip-command)/.test(text) || text === "-P" || text === "--absolute-names",
    )
  )
    return [high("its options run programs or leave the folder")];
  return [];
}

function permissions(command: SimpleCommand): Finding[] {
  const words = texts(command);
  if (words.some((text) => /^[ugoa]*\+[rwxX]*s|^[0-7]?[4-7][0-7]{3}$/.test(text)))
    return [high("it makes a program run with others' rights")];
  if (
    operands(command)
      .slice(1)
      .some((word) => isOutside(word.text))
  )
    return [high("it changes permissions outside the workspace")];
  if (hasLetter(command, /R/) || words.some((text) => /777|a\+w|o\+w/.test(text)) || !command.name.text.endsWith("chmod"))
    return [medium("it changes permissions widely")];
  return [];
}

function killers(command: SimpleCommand): Finding[] {
  return operands(command).some((word) => word.text === "1" || word.text === "-1") || texts(command).includes("-1")
    ? [high("it kills every process")]
    : [medium("it ends processes")];
}

function containers(command: SimpleCommand): Finding[] {
  const verb = first(command);
  return /^(ps|images|logs|inspect|version|info|get|describe|top|stats|config|ls|list|status|search|explain|api-resources)$/.test(verb)
    ? []
    : [high(`${command.name.text} ${verb} works on the host or a cluster`)];
}

function clouds(command: SimpleCommand): Finding[] {
  const words = operands(command).map((word) => word.text);
  const reads = /^(list|ls|view|show|status|describe|get|plan|validate|fmt|version|diff|checks|output|console|whoami|help)$/;
  return words.slice(0, 3).some((text) => reads.test(text))
    ? [medium(`${command.name.text} asks a service with credentials`)]
    : [high(`${command.name.text} changes something elsewhere`)];
}

function databases(command: SimpleCommand): Finding[] {
  const statement = texts(command).join(" ");
  if (/\b(drop|truncate|delete|alter|grant|flushall|flushdb|dropDatabase)\b/i.test(statement))
    return [high("it destroys data that no checkpoint has")];
  return /\b(insert|update|create|set|del)\b/i.test(statement) ? [medium("it changes data that no checkpoint has")] : [];
}

function exporters(command: SimpleCommand): Finding[] {
  return texts(command).some((text) =>
    /^(LD_PRELOAD|LD_LIBRARY_PATH|NODE_OPTIONS|BASH_ENV|PROMPT_COMMAND|PYTHONSTARTUP|GIT_[A-Z_]+)/.test(text),
  )
    ? [medium("it changes what programs run")]
    : nothing(command, () => ({ risk: Risk.LOW, reasons: [] }));
}

function fromScript({ risk, reasons }: ShellRisk): Finding[] {
  return reasons.map((reason) => ({ risk, reason }));
}
