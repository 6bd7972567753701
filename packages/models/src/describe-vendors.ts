import { listModels } from "./local-servers.ts";
import { allVendors, keyOf } from "./vendors.ts";

/** A provider as a person is shown it. */
export interface DescribedVendor {
  name: string;
  title: string;
  /** Empty: the caller has to say. */
  baseUrl: string;
  keys: string[];
  /** One of its keys is among those given. */
  keySet: boolean;
  local: boolean;
  /** Commands that start such a server. */
  start: string[];
  /** A server on this machine answers at its usual address, and serves these. */
  answers: boolean;
  models: string[];
}

/** All providers; servers on this machine are asked, side by side, which models they have. Nobody else is asked anything. */
export async function describeVendors(credentials: Record<string, string>): Promise<DescribedVendor[]> {
  return Promise.all(
    allVendors().map(async (vendor) => {
      const { name, title, baseUrl = "", keys, local, start = [] } = vendor;
      const models = local ? await listModels(baseUrl) : undefined;
      const keySet = keyOf(vendor, credentials) !== undefined;
      return { name, title, baseUrl, keys, keySet, local, start, answers: models !== undefined, models: models ?? [] };
    }),
  );
}
