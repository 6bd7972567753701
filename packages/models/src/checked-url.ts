import { GuildError } from "@guildhall/core";

import type { Vendor } from "./vendors.ts";

/** The base URL of a service as requests want it. Throws `invalid_argument`: there is none, or it is no URL of the web. */
export function checkedUrl(baseUrl: string | undefined, vendor: Vendor, spec: string): string {
  if (baseUrl === undefined || baseUrl === "") {
    throw new GuildError("invalid_argument", `${vendor.title} has no address of its own`, {
      subject: spec,
      remedy: "give its base URL: --base-url http://<host>:<port>/v1",
    });
  }
  const url = URL.parse(baseUrl);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new GuildError("invalid_argument", `“${baseUrl}” is no http or https URL`, {
      subject: spec,
      remedy: "write it like http://127.0.0.1:8080/v1",
    });
  }
  const trimmed = baseUrl.replace(/\/+$/, "");
  // The address of a resource, as Azure's pages show it.
  return vendor.protocol === "azure" && url.pathname === "/" ? `${trimmed}/openai/v1` : trimmed;
}
