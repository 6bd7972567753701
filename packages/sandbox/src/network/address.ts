import ipaddr from "ipaddr.js";

/** What a host in a URL or CONNECT line is. */
export type Host =
  | { kind: "name"; name: string }
  /** A bare address in any notation that a URL parser takes: dotted, decimal, hexadecimal, octal, short, IPv6, mapped. */
  | { kind: "address"; address: string }
  | { kind: "invalid" };

/** Canonical form of a host: names in lower case and Punycode without a final dot, addresses in their usual notation. */
export function parseHost(text: string): Host {
  let host: string;
  try {
    const bracketed = text.includes(":") && !text.startsWith("[") ? `[${text}]` : text;
    const url = new URL(`http://${bracketed}/`);
    if (url.username !== "" || url.password !== "" || url.port !== "" || url.pathname !== "/" || url.search !== "" || url.hash !== "")
      return INVALID;
    host = url.hostname;
  } catch {
    return INVALID;
  }
  const bare = host.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (bare === "") return INVALID;
  return ipaddr.isValid(bare) ? { kind: "address", address: ipaddr.parse(bare).toString() } : { kind: "name", name: bare };
}

const INVALID: Host = { kind: "invalid" };

/**
 * Why traffic must not go to this address; undefined for a public unicast address. Private, loopback, link-local (where cloud metadata
 * lives), carrier, multicast, reserved and translated ranges (mapped, 6to4, Teredo, NAT64: another address is meant) are all refused.
 */
export function whyNotPublic(address: string): string | undefined {
  if (!ipaddr.isValid(address)) return "not an address";
  const range = ipaddr.parse(address).range();
  return range === "unicast" ? undefined : `a ${range} address`;
}
