import { GuildError } from "@guildhall/core";

/** What is wrong with a gateway's certificate, if that is why it cannot be spoken to. */
export function certificateFault(cause: unknown): GuildError | undefined {
  const { code = "", reason = "", message = "" } = (cause ?? {}) as { code?: string; reason?: string; message?: string };
  const fault = (what: string, remedy: string): GuildError =>
    new GuildError("permission_denied", `the gateway's certificate ${what}`, { remedy, cause });
  if (code === "CERT_HAS_EXPIRED") return fault("has expired", "whoever runs it makes another: guild certs issue");
  if (code === "CERT_NOT_YET_VALID") return fault("is not valid yet", "is the clock of this machine right?");
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return fault(
      `is for another host (${reason})`,
      "reach it by a name that it holds, or have one issued: guild certs issue NAME --host HOST",
    );
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_|ISSUER/.test(code))
    return fault("is not of an authority that is trusted here", "name the ca.pem of its authority with GUILD_GATEWAY_CA");
  if (code === "EPROTO" || code.startsWith("ERR_SSL") || code.startsWith("ERR_TLS"))
    return new GuildError("unavailable", `the gateway does not speak TLS as this does: ${message.split("\n")[0]?.slice(0, 200) ?? ""}`, {
      remedy: "is it a plain one? then GUILD_GATEWAY is http://host:port, without GUILD_GATEWAY_CA",
      cause,
    });
  return undefined;
}
