import type { Random } from "./random.ts";

const DIGITS = "0123456789";
const LOWER = "abcdefghijklmnopqrstuvwxyz";
const UPPER = LOWER.toUpperCase();
const ALNUM = DIGITS + LOWER + UPPER;

/** A secret that was made up, the kind it is of, and the line in which it stands. */
export interface PlantedSecret {
  kind: string;
  secret: string;
  line: string;
}

/**
 * Secrets of the usual providers as they hand them out, drawn at random, each in a place where such things are found: configuration, source,
 * headers, logs, JSON. Written from the providers' own descriptions, apart from the rules that are to find them.
 */
export function plantedSecrets(random: Random, count: number): PlantedSecret[] {
  const makers = Object.entries(kinds(random));
  return Array.from({ length: count }, (_, index) => {
    const [kind, make] = makers[index % makers.length] as [string, () => string | { secret: string; line: string }];
    const made = make();
    return typeof made === "string" ? { kind, secret: made, line: place(random, made) } : { kind, ...made };
  });
}

function place(random: Random, secret: string): string {
  const escaped = JSON.stringify(secret);
  return random.pick([
    `export API_TOKEN=${secret}`,
    `  token: ${secret}  # yaml`,
    `{"a":1,"value":${escaped},"b":[${escaped}]}`,
    `const client = new Client({ key: ${escaped} });`,
    `curl -H "authorization: Bearer ${secret}" https://api.example.com/v1`,
    `2026-01-01T00:00:00Z INFO started with ${secret}, going on`,
    `see <${secret}> (${secret})`,
    `GET /x?key=${secret}&page=2 HTTP/1.1`,
    `{"log":"first\\n${secret}\\nlast"}`,
    `value%3D${secret}`,
    `\u001b[32m${secret}\u001b[0m`,
    secret,
  ]);
}

function kinds(random: Random): Record<string, () => string | { secret: string; line: string }> {
  const text = (alphabet: string, length: number): string =>
    Array.from({ length }, () => alphabet.charAt(random.below(alphabet.length))).join("");
  const an = (length: number): string => text(ALNUM, length);
  const hex = (length: number): string => text("0123456789abcdef", length);
  const url = (length: number): string => `${text(`${ALNUM}_-`, length - 1)}${an(1)}`;
  const digits = (length: number): string => text(DIGITS.slice(1), length);
  const b64 = (bytes: number): string => Buffer.from(Array.from({ length: bytes }, () => random.below(256))).toString("base64");
  const assigned = (name: string, secret: string): { secret: string; line: string } => ({
    secret,
    line: random.pick([`${name}=${secret}`, `${name.toUpperCase()}="${secret}"`, `  "${name}": "${secret}",`, `${name}: '${secret}'`]),
  });
  const pem = (label: string): string => {
    const body = (b64(900).match(/.{1,64}/g) ?? []).join("\n");
    const block = `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----`;
    return random.chance(0.3) ? JSON.stringify(block).slice(1, -1) : block;
  };
  return {
    "aws access key": () => `${random.pick(["AKIA", "ASIA"])}${text(`${UPPER}234567`, 16)}`,
    "aws secret": () => assigned("aws_secret_access_key", b64(30)),
    "github classic": () => `${random.pick(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"])}${an(36)}`,
    "github fine-grained": () => `github_pat_${an(22)}_${an(59)}`,
    gitlab: () => `glpat-${url(20)}`,
    "gitlab routable": () => `glpat-${url(27)}.01.${text(DIGITS + LOWER, 9)}`,
    "slack bot": () => `xoxb-${digits(12)}-${digits(12)}-${an(24)}`,
    "slack webhook": () => `https://hooks.slack.com/services/T${text(UPPER, 8)}/B${text(UPPER, 10)}/${an(24)}`,
    "discord webhook": () => `https://discord.com/api/webhooks/${digits(18)}/${url(68)}`,
    telegram: () => `${digits(10)}:AA${url(33)}`,
    "stripe live": () => `sk_live_${an(99)}`,
    "stripe old": () => `rk_test_${an(24)}`,
    "stripe webhook": () => `whsec_${an(32)}`,
    square: () => `sq0csp-${url(43)}`,
    shopify: () => `shpat_${hex(32)}`,
    "google api": () => `AIza${url(35)}`,
    "google oauth secret": () => `GOCSPX-${url(28)}`,
    "google oauth token": () => `ya29.a0${url(160)}`,
    "azure client secret": () => `${an(3)}8Q~${url(34)}`,
    "azure storage": () => {
      const secret = b64(64);
      return { secret, line: `DefaultEndpointsProtocol=https;AccountName=x;AccountKey=${secret};EndpointSuffix=core.windows.net` };
    },
    openai: () => `sk-proj-${url(74)}T3BlbkFJ${url(74)}`,
    "openai old": () => `sk-${an(20)}T3BlbkFJ${an(20)}`,
    anthropic: () => `sk-ant-api03-${url(93)}AA`,
    openrouter: () => `sk-or-v1-${hex(64)}`,
    deepseek: () => `sk-${hex(32)}`,
    huggingface: () => `hf_${text(LOWER + UPPER, 34)}`,
    groq: () => `gsk_${an(52)}`,
    xai: () => `xai-${an(80)}`,
    perplexity: () => `pplx-${an(48)}`,
    replicate: () => `r8_${an(37)}`,
    npm: () => `npm_${an(36)}`,
    "npmrc login": () => {
      const secret = b64(24);
      return { secret, line: `//registry.example.com/:_authToken=${secret}` };
    },
    pypi: () => `pypi-AgEIcHlwaS5vcmc${url(150)}`,
    rubygems: () => `rubygems_${hex(48)}`,
    crates: () => `cio${an(32)}`,
    nuget: () => `oy2${text(DIGITS + LOWER, 43)}`,
    "docker hub": () => `dckr_pat_${url(27)}`,
    "docker login": () => {
      const secret = Buffer.from(`user:${an(20)}`).toString("base64");
      return { secret, line: `{ "auths": { "registry.example.com": { "auth": "${secret}" } } }` };
    },
    digitalocean: () => `dop_v1_${hex(64)}`,
    heroku: () => `HRKU-${url(60)}`,
    netlify: () => `nfp_${an(36)}`,
    supabase: () => `sbp_${hex(40)}`,
    planetscale: () => `pscale_tkn_${url(43)}`,
    databricks: () => `dapi${hex(32)}`,
    sendgrid: () => `SG.${url(22)}.${url(43)}`,
    mailgun: () => `key-${hex(32)}`,
    mailchimp: () => `${hex(32)}-us${random.below(20) + 1}`,
    brevo: () => `xkeysib-${hex(64)}-${an(16)}`,
    notion: () => `ntn_${digits(11)}${an(35)}`,
    linear: () => `lin_api_${an(40)}`,
    figma: () => `figd_${url(40)}`,
    airtable: () => `pat${an(14)}.${hex(64)}`,
    postman: () => `PMAK-${hex(24)}-${hex(34)}`,
    grafana: () => `glsa_${an(32)}_${hex(8)}`,
    sentry: () => `sntryu_${hex(64)}`,
    newrelic: () => `NRAK-${text(UPPER + DIGITS, 27)}`,
    dynatrace: () => `dt0c01.${text(UPPER + DIGITS, 24)}.${text(UPPER + DIGITS, 64)}`,
    vault: () => `hvs.${url(90)}`,
    doppler: () => `dp.pt.${an(43)}`,
    terraform: () => `${an(14)}.atlasv1.${url(67)}`,
    pulumi: () => `pul-${hex(40)}`,
    atlassian: () => `ATATT3xFfGF0${url(170)}=${text("0123456789ABCDEF", 8)}`,
    sonar: () => `sqp_${hex(40)}`,
    age: () => `AGE-SECRET-KEY-1${text("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)}`,
    "json web token": () => {
      const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
      return `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: digits(10), name: an(8) })}.${url(43)}`;
    },
    "rsa key": () => pem("RSA PRIVATE KEY"),
    "ssh key": () => pem("OPENSSH PRIVATE KEY"),
    "pkcs8 key": () => pem("PRIVATE KEY"),
    "database url": () => {
      const secret = `${an(14)}${digits(2)}a`;
      return { secret, line: `DATABASE_URL=postgres://app:${secret}@db.example.com:5432/app` };
    },
    "bearer header": () => {
      const secret = `${url(38)}7x`;
      return { secret, line: `authorization: Bearer ${secret}` };
    },
    password: () => assigned("db_password", `${an(12)}4f${an(3)}`),
    "twilio token": () => assigned("twilio_auth_token", hex(32)),
    "datadog key": () => assigned("dd_api_key", hex(32)),
    "client secret": () => assigned("client_secret", url(40)),
  };
}
