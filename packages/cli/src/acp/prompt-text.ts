import type { ContentBlock } from "@agentclientprotocol/sdk";

/** A prompt of the protocol as the one text that a session's message is. What is no text is named. */
export function promptText(blocks: readonly ContentBlock[]): string {
  return blocks.map(describe).join("\n").trim();
}

function describe(block: ContentBlock): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "resource_link":
      return `[${block.name}: ${place(block.uri)}]`;
    case "resource": {
      const { resource } = block;
      return "text" in resource
        ? `<file path=${JSON.stringify(place(resource.uri))}>\n${resource.text}\n</file>`
        : `[${place(resource.uri)}]`;
    }
    default:
      return `[${block.type}, not passed on]`;
  }
}

/** A path, where the address is that of a file. */
function place(uri: string): string {
  return uri.startsWith("file://") ? decodeURIComponent(uri.slice("file://".length)) : uri;
}
