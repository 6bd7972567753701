import { APICallError } from "@ai-sdk/provider";

/** What a service said went wrong, in whatever shape it said so. */
export interface ServiceError {
  /** HTTP status, of the answer or named within it. */
  status: number | undefined;
  /** Its own words for the kind: `context_length_exceeded`, `overloaded_error`, `RESOURCE_EXHAUSTED`; several are joined by a space. */
  code: string | undefined;
  /** One line; empty: it gave none. */
  message: string;
  headers: Record<string, string>;
}

/** Reads the error of a failed call, or one that a stream reported. */
export function readServiceError(error: unknown): ServiceError {
  if (APICallError.isInstance(error)) {
    const said = readErrorBody(error.responseBody);
    const message = said.message || firstLine(error.message ?? "") || `status ${error.statusCode ?? "unknown"}`;
    return { status: error.statusCode ?? said.status, code: said.code, message, headers: error.responseHeaders ?? {} };
  }
  const said = typeof error === "object" && error !== null ? inObject(error as Record<string, unknown>) : nothing();
  return { ...said, message: said.message || firstLine(String(error)) };
}

/** Reads the body of an error: JSON in any of the services' shapes, a proxy's page, or plain words. */
export function readErrorBody(body: string | undefined): ServiceError {
  if (body === undefined || body === "") return nothing();
  try {
    const value = JSON.parse(body) as unknown;
    const first = Array.isArray(value) ? (value[0] as unknown) : value;
    return typeof first === "object" && first !== null ? inObject(first as Record<string, unknown>) : nothing();
  } catch {
    // No JSON.
    return { ...nothing(), message: firstLine(body.replace(/<[^>]*>/g, " ")) };
  }
}

/** `{error: {code, type, status, message}}`, the same without the shell, `{error: "…"}`, `{detail: "…"}`. */
function inObject(value: Record<string, unknown>): ServiceError {
  const inner = value["error"] ?? value["data"];
  if (typeof inner === "string") return { ...nothing(), message: firstLine(inner) };
  if (typeof inner === "object" && inner !== null && ("message" in inner || "error" in inner)) {
    const said = inObject(inner);
    return { ...said, status: said.status ?? statusIn(value) };
  }
  const code = [value["code"], value["type"], value["status"]].filter((part) => typeof part === "string" && part !== "error").join(" ");
  const message = value["message"] ?? value["detail"];
  return {
    status: statusIn(value),
    code: code === "" ? undefined : code,
    message: typeof message === "string" ? firstLine(message) : "",
    headers: {},
  };
}

function statusIn(value: Record<string, unknown>): number | undefined {
  return [value["statusCode"], value["code"], value["status"]].find(
    (part): part is number => typeof part === "number" && part >= 300 && part < 600,
  );
}

function nothing(): ServiceError {
  return { status: undefined, code: undefined, message: "", headers: {} };
}

/** The first line, its white space made single, of bearable length. */
function firstLine(text: string): string {
  const line = text.trim().split("\n", 1)[0]?.replace(/\s+/g, " ").trim() ?? "";
  return line.length > 500 ? `${line.slice(0, 500)}…` : line;
}
