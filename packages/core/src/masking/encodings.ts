/** The forms in which a secret may turn up, itself included. */
export function encodingsOf(secret: string): Set<string> {
  const forms = new Set<string>();
  for (const value of new Set([secret, secret.trim(), ...longLines(secret)])) {
    if (value === "") continue;
    forms.add(value);
    for (const form of [...urlForms(value), ...jsonForms(value), ...base64Forms(value), ...hexForms(value)]) forms.add(form);
  }
  return forms;
}

/** A key in several lines is shown line by line; short lines (`-----END…`) would be found everywhere. */
function longLines(secret: string): string[] {
  const lines = secret.split(/\r?\n/);
  return lines.length < 2 ? [] : lines.filter((line) => line.length >= 16 && !line.startsWith("-----"));
}

function urlForms(value: string): string[] {
  if (!value.isWellFormed()) return [];
  const component = encodeURIComponent(value);
  const strict = component.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const forms = [component, strict, encodeURI(value)];
  const spaced = [component, strict].map((form) => form.replaceAll("%20", "+"));
  return [...forms, ...spaced].flatMap((form) => [form, form.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase())]);
}

function jsonForms(value: string): string[] {
  const escaped = JSON.stringify(value).slice(1, -1);
  const ascii = escaped.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const slashes = escaped.replaceAll("/", String.raw`\/`);
  const html = escaped.replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
  const twice = JSON.stringify(escaped).slice(1, -1);
  return [escaped, ascii, slashes, html, twice];
}

/**
 * Base64 of the secret alone and of the secret anywhere within a longer text: of the three ways in which it may lie across groups of
 * three bytes, those characters that do not depend on what surrounds it.
 */
function base64Forms(value: string): string[] {
  const bytes = Buffer.from(value, "utf8");
  const forms = [bytes.toString("base64").replace(/=+$/, "")];
  for (let offset = 0; offset < 3; offset += 1) {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString("base64")
      .replace(/=+$/, "");
    const from = offset === 0 ? 0 : offset + 1;
    const spare = (offset + bytes.length) % 3;
    const inner = encoded.slice(from, spare === 0 ? undefined : -1);
    // A shorter piece is likely to turn up by chance.
    if (inner.length >= 8) forms.push(inner);
  }
  return forms.flatMap((form) => [form, form.replaceAll("+", "-").replaceAll("/", "_")]);
}

function hexForms(value: string): string[] {
  const hex = Buffer.from(value, "utf8").toString("hex");
  return [hex, hex.toUpperCase()];
}
