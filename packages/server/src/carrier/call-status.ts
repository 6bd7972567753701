import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import type { CallEnd, CallEndSchema } from "@guildhall/protocol/internal";

/** A status with its details, as a frame carries it. */
export function toCallEnd(error: ConnectError): MessageInitShape<typeof CallEndSchema> {
  const details = error.details.map((detail) => {
    if (!("desc" in detail)) return { type: detail.type, value: detail.value };
    const desc: DescMessage = detail.desc;
    return { type: desc.typeName, value: toBinary(desc, create(desc, detail.value)) };
  });
  return { code: error.code, text: error.rawMessage, details };
}

/** The status that {@link toCallEnd} was given, as if its call had had a stream of its own. */
export function fromCallEnd({ code, text, details }: CallEnd): ConnectError {
  const error = new ConnectError(text, code);
  error.details = details.map(({ type, value }) => ({ type, value }));
  return error;
}
