import { randomBytes } from "node:crypto";

import type { SecretRule } from "@guildhall/core";
import type { SecretGrant } from "@guildhall/sandbox";

/** What a sandbox sees of the secrets that it may use. */
export interface Placeholders {
  grants: SecretGrant[];
  /** Variables that hold placeholders, and git's configuration that answers with them. */
  env: Record<string, string>;
}

/**
 * Placeholders for the secrets of rules; `known` keeps them from call to call, so that what a sandbox has stays valid when grants change.
 * Git asks the same placeholders as passwords, for the hosts that they are for.
 */
export function makePlaceholders(rules: readonly SecretRule[], known: Map<string, string>): Placeholders {
  const env: Record<string, string> = {};
  const helpers: Array<[string, string]> = [];
  const grants = rules.map(({ secret, host, methods, paths, env: variable }): SecretGrant => {
    const placeholder = known.get(secret) ?? `guildhall-secret-${randomBytes(12).toString("hex")}`;
    known.set(secret, placeholder);
    env[variable ?? variableOf(secret)] = placeholder;
    const answer = `!f() { test "$1" = get && printf 'username=x-access-token\\npassword=%s\\n' ${placeholder}; }; f`;
    helpers.push([`credential.https://${host}.helper`, answer]);
    return { secret, placeholder, host, ...(methods === undefined ? {} : { methods }), ...(paths === undefined ? {} : { paths }) };
  });
  helpers.forEach(([key, value], index) => {
    env[`GIT_CONFIG_KEY_${index}`] = key;
    env[`GIT_CONFIG_VALUE_${index}`] = value;
  });
  if (helpers.length > 0) env["GIT_CONFIG_COUNT"] = String(helpers.length);
  return { grants, env };
}

/** A secret's name as a variable: `npm.token` is `NPM_TOKEN`. */
function variableOf(secret: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(secret) ? secret : secret.toUpperCase().replaceAll(/[^A-Z0-9_]/g, "_");
}
