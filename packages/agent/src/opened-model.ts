import { GuildError, type Model, type ModelInfo } from "@guildhall/core";

import type { RunDeps } from "./run-deps.ts";

/** The session's model: opened when first wanted, and again when the session has changed to another. */
export class OpenedModel {
  readonly #open: RunDeps["openModel"];
  #model: Model | undefined;
  #opened = "";

  constructor(open: RunDeps["openModel"]) {
    this.#open = open;
  }

  get info(): ModelInfo | undefined {
    return this.#model?.info;
  }

  /** Throws what opening throws: unknown model, missing key. */
  async open(wanted: { spec: string; baseUrl: string; step: number }): Promise<Model> {
    const name = JSON.stringify([wanted.spec, wanted.baseUrl]);
    if (this.#model !== undefined && this.#opened === name) return this.#model;
    await this.close();
    const model = await this.#open(wanted);
    this.#model = model;
    this.#opened = name;
    return model;
  }

  get model(): Model {
    if (this.#model === undefined) throw new GuildError("internal", "the model is not open");
    return this.#model;
  }

  async close(): Promise<void> {
    const model = this.#model;
    this.#model = undefined;
    await model?.close();
  }
}
