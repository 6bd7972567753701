import { constants } from "node:os";
import { getSystemErrorMessage } from "node:util";

import { GuildError, type ErrorCode } from "@guildhall/core";

const { errno } = constants;

const codes = new Map<number, ErrorCode>([
  [errno.ENOENT, "not_found"],
  [errno.ESRCH, "not_found"],
  [errno.EEXIST, "already_exists"],
  [errno.EACCES, "permission_denied"],
  [errno.EPERM, "permission_denied"],
  [errno.EROFS, "permission_denied"],
  [errno.EISDIR, "failed_precondition"],
  [errno.ENOTDIR, "failed_precondition"],
  [errno.ENOTEMPTY, "failed_precondition"],
  [errno.EINVAL, "failed_precondition"],
  [errno.ELOOP, "failed_precondition"],
  [errno.EXDEV, "failed_precondition"],
  [errno.EBUSY, "failed_precondition"],
  [errno.ETXTBSY, "failed_precondition"],
  [errno.ENXIO, "failed_precondition"],
  [errno.ENOTTY, "failed_precondition"],
  [errno.ENOEXEC, "failed_precondition"],
  [errno.ENOSPC, "storage_full"],
  [errno.EDQUOT, "storage_full"],
  [errno.EAGAIN, "resource_exhausted"],
  [errno.ENOMEM, "resource_exhausted"],
  [errno.EMFILE, "resource_exhausted"],
  [errno.ENFILE, "resource_exhausted"],
  [errno.EFBIG, "resource_exhausted"],
  [errno.E2BIG, "resource_exhausted"],
  [errno.ENAMETOOLONG, "invalid_argument"],
  [errno.ECONNREFUSED, "unavailable"],
  [errno.ECONNRESET, "unavailable"],
  [errno.ECANCELED, "cancelled"],
  [errno.ENOSYS, "unsupported"],
]);

/** An errno of the init as an error of ours: `what` failed on `subject`. */
export function initError(number: number, what: string, subject: string): GuildError {
  const code = codes.get(number) ?? "internal";
  const remedy =
    number === errno.EROFS || number === errno.EBUSY
      ? "this path is protected in the sandbox"
      : number === errno.EAGAIN
        ? "raise the limit on processes, or end some"
        : undefined;
  return new GuildError(code, `${what} ${subject}: ${getSystemErrorMessage(-number)}`, {
    subject,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
