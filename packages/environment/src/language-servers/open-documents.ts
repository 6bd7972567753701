import { pathToFileURL } from "node:url";

/** A document as the server has it. */
interface OpenDocument {
  version: number;
  text: string;
  languageId: string;
  /** Number of pushes when this text was told. */
  pushesBefore: number;
  /** Somebody has waited for the server to look at it. */
  waited: boolean;
  holders: Set<object>;
}

/** Documents that one holder has open at most; what it has not asked about for longest is closed first. */
const MOST_OPEN = 64;

/**
 * The documents that a server has been told, counted by who holds them: sessions that share a server share what it knows of one file of one
 * directory, and a document is closed when the last of them has let it go.
 */
export class OpenDocuments {
  readonly #notify: (method: string, params: unknown) => Promise<void>;
  readonly #open = new Map<string, OpenDocument>();
  /** Documents of each holder, the one asked about last at the end. */
  readonly #held = new Map<object, Set<string>>();

  constructor(notify: (method: string, params: unknown) => Promise<void>) {
    this.#notify = notify;
  }

  get(uri: string): (Readonly<Omit<OpenDocument, "waited">> & { waited: boolean }) | undefined {
    return this.#open.get(uri);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Tells the server a text, if it is another than it knows. */
  async tell(uri: string, text: string, languageId: string, pushes: number, holder: object): Promise<void> {
    const known = this.#open.get(uri);
    const holders = known?.holders ?? new Set();
    holders.add(holder);
    const dropped = this.#hold(holder, uri);
    if (known?.text !== text) {
      const version = (known?.version ?? 0) + 1;
      this.#open.set(uri, { version, text, languageId, pushesBefore: pushes, waited: known?.waited ?? false, holders });
      if (known === undefined) await this.#notify("textDocument/didOpen", { textDocument: { uri, languageId, version, text } });
      else await this.#notify("textDocument/didChange", { textDocument: { uri, version }, contentChanges: [{ text }] });
      await this.#notify("textDocument/didSave", { textDocument: { uri }, text });
    }
    if (dropped !== undefined) await this.#letGo(dropped, holder);
  }

  /** The same text again, of a file that somebody else has changed; nothing where it is not open. */
  async retell(uri: string, text: string, pushes: number): Promise<void> {
    const known = this.#open.get(uri);
    const [holder] = known?.holders ?? [];
    if (known !== undefined && holder !== undefined) await this.tell(uri, text, known.languageId, pushes, holder);
  }

  /** A file that is gone is open to nobody. */
  async gone(uri: string): Promise<void> {
    for (const holder of this.#open.get(uri)?.holders ?? []) await this.#letGo(uri, holder);
  }

  async forget(holder: object): Promise<void> {
    for (const uri of this.#held.get(holder) ?? []) await this.#letGo(uri, holder);
    this.#held.delete(holder);
  }

  #hold(holder: object, uri: string): string | undefined {
    const held = this.#held.get(holder) ?? new Set();
    this.#held.set(holder, held);
    held.delete(uri);
    held.add(uri);
    return held.size > MOST_OPEN ? held.values().next().value : undefined;
  }

  async #letGo(uri: string, holder: object): Promise<void> {
    this.#held.get(holder)?.delete(uri);
    const known = this.#open.get(uri);
    known?.holders.delete(holder);
    if (known === undefined || known.holders.size > 0) return;
    this.#open.delete(uri);
    await this.#notify("textDocument/didClose", { textDocument: { uri } });
  }
}

export function uriOf(path: string): string {
  return pathToFileURL(path).href;
}
