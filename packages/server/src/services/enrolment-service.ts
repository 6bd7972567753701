import type { ServiceImpl } from "@connectrpc/connect";
import type { EnrolmentService } from "@guildhall/protocol/internal";

import { readAuthority, redeemJoinToken } from "../certs/join-tokens.ts";
import { certify } from "../certs/private-authority.ts";

/** Certificates for those who show a join token, from the private authority in this directory. */
export function enrolmentService(authority: string): ServiceImpl<typeof EnrolmentService> {
  return {
    getAuthority: () => ({ ca: readAuthority(authority) }),
    async enrol({ token, publicKey }) {
      const grant = redeemJoinToken(authority, token, new Date());
      return await certify(authority, { ...grant, publicKey }, new Date());
    },
  };
}
