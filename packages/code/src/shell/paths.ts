import { Risk } from "@guildhall/protocol";

import type { Word } from "./commands.ts";
import type { Finding } from "./finding.ts";

/** What writing to these targets means. */
export function writeFindings(writes: readonly Word[]): Finding[] {
  return writes.flatMap((target): Finding[] => {
    if (/^\/dev\/(null|stdout|stderr|tty|fd\/\d+)$/.test(target.text)) return [];
    if (/^\/dev\/(tcp|udp)\//.test(target.text)) return [{ risk: Risk.HIGH, reason: `it opens a connection (${target.text})` }];
    if (target.text.startsWith("/dev/")) return [{ risk: Risk.HIGH, reason: `it writes to the device ${target.text}` }];
    return [
      ...pathFindings([target]),
      ...(isOutside(target.text) ? [{ risk: Risk.HIGH, reason: `it writes outside the workspace (${target.text})` }] : []),
    ];
  });
}

/** What naming these paths means, whoever does it. */
export function pathFindings(words: readonly Word[]): Finding[] {
  return words.flatMap(({ text }): Finding[] => {
    const path = text.replace(/^--?[\w-]+=/, "").replace(/^@/, "");
    if (CREDENTIALS.test(path) && !HARMLESS_EXAMPLES.test(path)) return [{ risk: Risk.HIGH, reason: `${path} may hold credentials` }];
    if (HOOKS.test(path)) return [{ risk: Risk.HIGH, reason: `${path} is run or obeyed outside the sandbox` }];
    if (SOCKETS.test(path)) return [{ risk: Risk.HIGH, reason: `${path} reaches the host` }];
    return [];
  });
}

/** Absolute, of somebody's home or upwards; temporary files are the sandbox's own. */
export function isOutside(path: string): boolean {
  return /^(\/(?!tmp(\/|$)|dev\/null$|dev\/std|workspace(\/|$))|~|\$\{?HOME|(\.\.\/)+\.\.(\/|$)|\.\.(\/|$))/.test(path);
}

/** Paths that hold credentials, or whose content is run by something else later. */
const CREDENTIALS =
  /(^|[/~])(\.ssh|\.aws|\.gnupg|\.kube|\.docker\/config\.json|\.netrc|\.npmrc|\.pypirc|\.git-credentials|\.config\/(gh|gcloud|guildhall)|id_(rsa|ed25519|ecdsa)|\.env(\.[\w-]+)?)(\/|$)|^\/etc\/(shadow|sudoers|passwd-|ssh)|^\/proc\/(\d+|self|\*)\/(environ|mem|root|cwd)|\/var\/run\/secrets|\/run\/secrets/;
const HOOKS =
  /(^|\/)(\.git\/(hooks|config|modules)|\.husky|\.guildhall|\.vscode\/(tasks|launch|settings)\.json|\.bashrc|\.profile|\.bash_profile|\.zshrc|\.envrc|\.gitconfig|authorized_keys|crontab)(\/|$)/;
const SOCKETS = /\/(docker|containerd|podman|crio)\.sock$|^\/proc\/sys\/|^\/sys\//;
const HARMLESS_EXAMPLES = /\.env\.(example|sample|template|dist)$/;
