import type { Model } from "@guildhall/core";

import { NoToolsError } from "./language-model.ts";
import { generateAsText, withPrintedCalls } from "./text-protocol/text-model.ts";

/**
 * A service's model, whatever it makes of functions: calls that it prints as text are recognised, and once the service has said that it cannot call
 * functions at all, it is spoken to by the text protocol, without that failure being anybody's matter.
 */
export function adaptiveModel(inner: Model): Model {
  let asText = false;
  return {
    info: inner.info,
    async generate(request, signal, listener) {
      if (asText) return generateAsText(inner, "tags", request, signal, listener);
      try {
        return withPrintedCalls(await inner.generate(request, signal, listener), request);
      } catch (error) {
        if (!(error instanceof NoToolsError) || request.tools.length === 0) throw error;
        asText = true;
        return generateAsText(inner, "tags", request, signal, listener);
      }
    },
    close: () => inner.close(),
  };
}
