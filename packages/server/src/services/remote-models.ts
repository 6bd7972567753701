import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { GuildError, type Model, ModelError, type ModelProvider, type ModelReply } from "@guildhall/core";
import { ModelService } from "@guildhall/protocol";

import { fromStatus } from "../rpc/from-status.ts";
import { patiently } from "./patiently.ts";

/**
 * The models of a models service, as the Model port: who uses them holds no key. A service that goes away is asked again for as long as it takes
 * to start it anew. A reply that was on its way is lost with it: that call is made, and paid for, a second time.
 */
export function remoteModels(transport: Transport, peer: string): ModelProvider {
  const client = createClient(ModelService, transport);
  const ask = <T>(call: () => Promise<T>): Promise<T> =>
    patiently(() =>
      call().catch((error: unknown) => {
        throw fromStatus(error, peer);
      }),
    );
  return {
    async open({ spec, baseUrl = "", step = 0 }) {
      const described = await ask(() => client.describeModel({ model: spec, baseUrl }, unary));
      const { provider, contextTokens, maxOutputTokens, priceKnown } = described;
      const price = {
        input: described.inputUsdPerMillion,
        cachedInput: described.cachedInputUsdPerMillion,
        cacheWrite: described.cacheWriteUsdPerMillion,
        output: described.outputUsdPerMillion,
      };
      const info = { spec: described.model, provider, contextTokens, maxOutputTokens, price: priceKnown ? price : undefined };
      return remoteModel(client, { info, baseUrl, step, peer });
    },
    async choose({ configured = "", credentials }) {
      const { model, baseUrl, reason } = await ask(() => client.chooseModel({ configured, credentials }, unary));
      return { spec: model, reason, ...(baseUrl === "" ? {} : { baseUrl }) };
    },
  };
}

const unary = { timeoutMs: 30_000 };

function remoteModel(
  client: Client<typeof ModelService>,
  { info, baseUrl, step, peer }: { info: Model["info"]; baseUrl: string; step: number; peer: string },
): Model {
  let next = step;
  return {
    info,
    async generate(request, signal, listener) {
      if (signal.aborted) throw new ModelError("cancelled", "the call was cancelled", { cause: signal.reason });
      const asked = { ...request, model: info.spec, baseUrl, step: next };
      const call = async (): Promise<ModelReply> => {
        for await (const { kind } of client.generate(asked, { signal })) {
          if (kind.case === "text") listener?.text?.(kind.value);
          else if (kind.case === "reasoning") listener?.reasoning?.(kind.value);
          else if (kind.case === "waiting") listener?.waiting?.(kind.value);
          else if (kind.case === "reply") return kind.value;
        }
        throw new ModelError("cut", "the models service ended the reply before it was whole", { remedy: "try again" });
      };
      const lost = (error: unknown): never => {
        const meant = fromStatus(error, peer);
        if (GuildError.is(meant, "unavailable")) listener?.waiting?.(`for the models service: ${meant.message}`);
        throw meant;
      };
      try {
        const reply = await patiently(() => call().catch(lost), signal);
        next++;
        return reply;
      } catch (error) {
        throw failureOf(error, signal, peer);
      }
    },
    close: async () => undefined,
  };
}

/** A models service that goes away is a model that cannot be reached. */
function failureOf(error: unknown, signal: AbortSignal, peer: string): Error {
  if (error instanceof ModelError) return error;
  if (signal.aborted) return new ModelError("cancelled", "the call was cancelled", { cause: error });
  const meant = fromStatus(error, peer);
  if (!(meant instanceof GuildError)) return meant;
  const kind = meant.code === "unavailable" || meant.code === "deadline_exceeded" ? "unreachable" : "other";
  return new ModelError(kind, meant.line, { cause: error });
}
