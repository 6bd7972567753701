import { ActionStatus, type ActionFinished, type ToolCall } from "@guildhall/protocol";

const TEST = /\b(?:test|tests|check|lint|build|compile|typecheck|tsc|pytest|jest|vitest|cargo|go (?:test|build|vet)|make|gradle|mvn)\b/;

/** A command that shows whether something is right, and whether it did; undefined for any other call. */
export function validationOf(
  call: ToolCall,
  { data, status }: Pick<ActionFinished, "data" | "status">,
): { command: string; passed: boolean } | undefined {
  const command = call.tool === "bash" ? argument(call, "command") : undefined;
  if (command === undefined || !TEST.test(command) || command.length > 200) return undefined;
  return { command, passed: exitCodeOf(data, status) === 0 };
}

/** A text argument of a call; undefined where it has none, or is no JSON. */
export function argument(call: ToolCall, name: string): string | undefined {
  try {
    const value = (JSON.parse(call.arguments) as Record<string, unknown>)[name];
    return typeof value === "string" ? value : undefined;
  } catch {
    // What a model wrote need not be JSON.
    return undefined;
  }
}

function exitCodeOf(data: string, status: ActionStatus): number {
  try {
    const { exitCode, exit_code: other } = (data === "" ? {} : JSON.parse(data)) as { exitCode?: unknown; exit_code?: unknown };
    const code = exitCode ?? other;
    if (typeof code === "number") return code;
  } catch {
    // An older or foreign log: the status tells.
  }
  return status === ActionStatus.OK ? 0 : 1;
}
