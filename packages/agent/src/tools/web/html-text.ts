/** A page as text: its title, its readable content as Markdown, links absolute. */
export interface ReadablePage {
  title: string;
  text: string;
}

/**
 * Makes Markdown of a page: headings, paragraphs, lists, quotations, tables, code, links and the words that stand for images. What is not to be read
 * (scripts, styles, navigation, forms' inner parts, what is marked as hidden) is left out; where a page says what its main content is, the
 * rest is left out too. It goes by tags alone and builds no tree, so that time and space grow with the page, however it is nested.
 */
export async function readPage(html: string, base: URL): Promise<ReadablePage> {
  const { Tokenizer } = await import("htmlparser2");
  const writer = new MarkdownWriter(base);
  let tag = "";
  let attributes: Record<string, string> = {};
  let attribute = "";
  let value = "";
  const slice = (start: number, end: number): string => html.slice(start, end);
  const opened = (): void => writer.open(tag, attributes);
  const ignored = (): void => undefined;
  const tokenizer = new Tokenizer(
    { xmlMode: false, decodeEntities: true },
    {
      onopentagname: (start, end) => {
        tag = slice(start, end).toLowerCase();
        attributes = Object.create(null) as Record<string, string>;
      },
      onattribname: (start, end) => {
        attribute = slice(start, end).toLowerCase();
        value = "";
      },
      onattribdata: (start, end) => void (value += slice(start, end)),
      onattribentity: (code) => void (value += String.fromCodePoint(code)),
      onattribend: () => void (attributes[attribute] = value),
      onopentagend: opened,
      onselfclosingtag: opened,
      onclosetag: (start, end) => writer.close(slice(start, end).toLowerCase()),
      ontext: (start, end) => writer.text(slice(start, end)),
      ontextentity: (code) => writer.text(String.fromCodePoint(code)),
      oncdata: ignored,
      oncomment: ignored,
      ondeclaration: ignored,
      onprocessinginstruction: ignored,
      onend: ignored,
    },
  );
  tokenizer.write(html);
  tokenizer.end();
  return writer.end();
}

const SKIPPED = new Set([
  "script",
  "style",
  "noscript",
  "template",
  "svg",
  "iframe",
  "nav",
  "footer",
  "aside",
  "select",
  "button",
  "canvas",
  "dialog",
]);
const BLOCKS = new Set(
  "p div section article main header h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table tr blockquote pre figure figcaption form fieldset hr address details summary".split(
    " ",
  ),
);
const VOID = new Set("area base br col embed hr img input link meta source track wbr".split(" "));
/** A link longer than this says nothing to a reader. */
const LONGEST_LINK = 500;

interface Mark {
  /** Where the text of it begins. */
  at: number;
  href: string;
}

class MarkdownWriter {
  readonly #base: URL;
  /** Pieces of the text; of the main content alone once there is such. */
  #out: string[] = [];
  #main: string[] | undefined;
  #title = "";
  readonly #links: Mark[] = [];
  readonly #lists: Array<{ ordered: boolean; count: number }> = [];
  #skipping: { name: string; depth: number } | undefined;
  #inTitle = false;
  #pre = 0;
  #quote = 0;
  #mainDepth = 0;
  #cells = 0;
  #blank = true;
  #pendingSpace = false;

  constructor(base: URL) {
    this.#base = base;
  }

  open(name: string, attributes: Record<string, string>): void {
    if (this.#skipping !== undefined) {
      if (name === this.#skipping.name && !VOID.has(name)) this.#skipping.depth += 1;
      return;
    }
    if (!VOID.has(name) && (SKIPPED.has(name) || isHidden(attributes))) {
      this.#skipping = { name, depth: 1 };
      return;
    }
    if (name === "title" && this.#title === "") this.#inTitle = true;
    if (BLOCKS.has(name)) this.#block(name === "li" || name === "tr" || name === "dt" || name === "dd" ? 1 : 2);
    if (name === "main" || name === "article") this.#mainDepth += 1;
    const level = /^h([1-6])$/.exec(name)?.[1];
    if (level !== undefined) this.#raw(`${"#".repeat(Number(level))} `);
    else if (name === "ul" || name === "ol") this.#lists.push({ ordered: name === "ol", count: 0 });
    else if (name === "li") this.#item();
    else if (name === "pre") this.#fence(1);
    else if (name === "code" && this.#pre === 0) this.#raw("`");
    else if (name === "blockquote") this.#quote += 1;
    else if (name === "br") this.#raw("\n");
    else if (name === "hr") this.#raw("---\n");
    else if (name === "tr") this.#cells = 0;
    else if (name === "td" || name === "th") this.#raw(this.#cells++ === 0 ? "" : " | ");
    else if (name === "a") this.#links.push({ at: this.#out.length, href: attributes["href"] ?? "" });
    else if (name === "img" && (attributes["alt"] ?? "").trim() !== "") this.text(`[image: ${(attributes["alt"] ?? "").slice(0, 200)}]`);
    else if (name === "input" && attributes["type"] !== "hidden")
      this.text(`[${attributes["placeholder"] ?? attributes["value"] ?? attributes["type"] ?? "field"}]`);
  }

  text(text: string): void {
    if (this.#skipping !== undefined) return;
    if (this.#inTitle) {
      this.#title = (this.#title + text).slice(0, 500);
      return;
    }
    if (this.#pre > 0) return this.#raw(text);
    const words = text.replaceAll(/[\s\u00a0]+/g, " ");
    if (words === " ") {
      this.#pendingSpace = !this.#blank;
      return;
    }
    if (words === "") return;
    const lead = (words.startsWith(" ") || this.#pendingSpace) && !this.#blank ? " " : "";
    this.#pendingSpace = words.endsWith(" ");
    this.#raw(lead + words.trim(), true);
  }

  close(name: string): void {
    if (this.#skipping !== undefined) {
      if (name === this.#skipping.name && --this.#skipping.depth === 0) this.#skipping = undefined;
      return;
    }
    if (name === "title") this.#inTitle = false;
    else if (name === "a") this.#link();
    else if (name === "pre" && this.#pre > 0) this.#fence(-1);
    else if (name === "code" && this.#pre === 0) this.#raw("`", true);
    else if (name === "ul" || name === "ol") this.#lists.pop();
    else if (name === "blockquote") this.#quote = Math.max(0, this.#quote - 1);
    else if (name === "main" || name === "article") this.#mainDepth = Math.max(0, this.#mainDepth - 1);
    if (BLOCKS.has(name)) this.#block(name === "li" || name === "tr" || name === "dt" || name === "dd" ? 1 : 2);
  }

  end(): ReadablePage {
    const main = (this.#main ?? []).join("");
    // What a page calls its main content may be a husk.
    const text = main.trim().length >= 200 ? main : this.#out.join("");
    const lines = text.split("\n").map((line) => line.trimEnd());
    return {
      title: this.#title.replaceAll(/\s+/g, " ").trim(),
      text: lines
        .join("\n")
        .replaceAll(/\n{3,}/g, "\n\n")
        .trim(),
    };
  }

  /** `follows`: what comes next may need a blank before it. */
  #raw(text: string, follows = false): void {
    if (text === "") return;
    const quoted = this.#quote === 0 ? text : text.replaceAll("\n", `\n${"> ".repeat(Math.min(this.#quote, 5))}`);
    this.#out.push(quoted);
    if (this.#mainDepth > 0) (this.#main ??= []).push(quoted);
    this.#blank = !follows;
    if (!follows) this.#pendingSpace = false;
  }

  #block(lines: number): void {
    if (this.#pre > 0) return;
    this.#raw("\n".repeat(lines));
  }

  #item(): void {
    const list = this.#lists.at(-1);
    const indent = "  ".repeat(Math.min(Math.max(0, this.#lists.length - 1), 10));
    if (list === undefined) return this.#raw("- ");
    list.count += 1;
    this.#raw(`${indent}${list.ordered ? `${list.count}.` : "-"} `);
  }

  #fence(change: 1 | -1): void {
    if (change === 1 && this.#pre === 0) this.#raw("```\n");
    this.#pre += change;
    if (change === -1 && this.#pre === 0) this.#raw("\n```\n");
  }

  #link(): void {
    const mark = this.#links.pop();
    if (mark === undefined || mark.at === this.#out.length || mark.href.startsWith("#")) return;
    const target = absolute(mark.href, this.#base);
    if (target !== undefined) this.#raw(` (${target})`, true);
  }
}

function isHidden(attributes: Record<string, string>): boolean {
  return (
    "hidden" in attributes ||
    attributes["aria-hidden"] === "true" ||
    /display:\s*none|visibility:\s*hidden/i.test(attributes["style"] ?? "")
  );
}

function absolute(href: string, base: URL): string | undefined {
  if (href === "" || href.length > LONGEST_LINK) return undefined;
  try {
    const url = new URL(href, base);
    return url.protocol === "http:" || url.protocol === "https:" || url.protocol === "mailto:" ? url.href : undefined;
  } catch {
    return undefined; // no URL: only its words are shown
  }
}
