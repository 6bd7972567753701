import { type DescFile, type DescService, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { MessageShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { ServerReflection, ServerReflectionAlpha } from "@guildhall/protocol/grpc";
import type { ServerReflectionRequestSchema, ServerReflectionResponseSchema } from "@guildhall/protocol/grpc";

type Request = MessageShape<typeof ServerReflectionRequestSchema>;
type Response = MessageInitShape<typeof ServerReflectionResponseSchema> & {
  messageResponse: NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;
};

/** Server reflection for these services and itself, in both versions of the protocol: they differ in nothing but their name. */
export function addReflection(router: ConnectRouter, services: readonly DescService[]): void {
  const all = [...services, ServerReflection, ServerReflectionAlpha];
  const index = indexFiles(all);
  const answer = (request: Request): Response => ({
    validHost: request.host,
    originalRequest: request,
    messageResponse: respond(request, all, index),
  });
  const serverReflectionInfo = async function* (requests: AsyncIterable<Request>): AsyncIterable<Response> {
    for await (const request of requests) yield answer(request);
  };
  router.service(ServerReflection, { serverReflectionInfo });
  // The same numbers and types under another package: what one encodes the other decodes.
  router.service(ServerReflectionAlpha, { serverReflectionInfo: serverReflectionInfo as never });
}

interface FileIndex {
  byName: ReadonlyMap<string, DescFile>;
  bySymbol: ReadonlyMap<string, DescFile>;
}

function respond(request: Request, services: readonly DescService[], index: FileIndex): Response["messageResponse"] {
  const asked = request.messageRequest;
  switch (asked.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: services.map(({ typeName }) => ({ name: typeName })) } };
    case "fileByFilename":
      return fileResponse(index.byName.get(asked.value), asked.value);
    case "fileContainingSymbol":
      return fileResponse(index.bySymbol.get(asked.value), asked.value);
    case "allExtensionNumbersOfType":
      return { case: "allExtensionNumbersResponse", value: { baseTypeName: asked.value, extensionNumber: [] } };
    case "fileContainingExtension":
      return failure(Code.NotFound, `there is no extension of ${asked.value.containingType}`);
    default:
      return failure(Code.InvalidArgument, "the request asks for nothing");
  }
}

/** The file with everything that it imports, itself first. */
function fileResponse(file: DescFile | undefined, asked: string): Response["messageResponse"] {
  if (file === undefined) return failure(Code.NotFound, `there is no ${asked}`);
  const files = new Set<DescFile>();
  const visit = (one: DescFile): void => {
    if (files.has(one)) return;
    files.add(one);
    one.dependencies.forEach(visit);
  };
  visit(file);
  const fileDescriptorProto = [...files].map((one) => toBinary(FileDescriptorProtoSchema, one.proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function failure(errorCode: Code, errorMessage: string): Response["messageResponse"] {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

function indexFiles(services: readonly DescService[]): FileIndex {
  const byName = new Map<string, DescFile>();
  const bySymbol = new Map<string, DescFile>();
  const visit = (file: DescFile): void => {
    const name = `${file.name}.proto`;
    if (byName.has(name)) return;
    byName.set(name, file);
    for (const service of file.services) {
      bySymbol.set(service.typeName, file);
      for (const method of service.methods) bySymbol.set(`${service.typeName}.${method.name}`, file);
    }
    const types = [...file.messages, ...file.enums];
    for (let type = types.pop(); type !== undefined; type = types.pop()) {
      bySymbol.set(type.typeName, file);
      if (type.kind === "message") types.push(...type.nestedMessages, ...type.nestedEnums);
    }
    file.dependencies.forEach(visit);
  };
  for (const { file } of services) visit(file);
  return { byName, bySymbol };
}
