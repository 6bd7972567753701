/** USD per million tokens; with a list, by the tokens of the prompt: the last pair whose first number is below them holds for all. */
export type Tiered = number | Array<[above: number, price: number]>;

export interface Rates {
  /** The day they came into force, `2026-07-30`; absent: always. */
  from?: string;
  input: Tiered;
  output: Tiered;
  cachedInput?: Tiered;
  cacheWrite?: Tiered;
}

/** Which model names an entry is about. */
export type Match =
  | { equals: string }
  | { starts_with: string }
  | { ends_with: string }
  | { contains: string }
  | { regex: string }
  | { or: Match[] }
  | { and: Match[] };

export interface PriceEntry {
  match: Match;
  /** Context size in tokens. */
  context?: number;
  /** In the order in which they came into force. */
  rates: Rates[];
}

export interface PriceTable {
  source: string;
  providers: Array<{
    /** Expression for the base URLs of this provider. */
    url: string;
    models: PriceEntry[];
  }>;
}

/** The first entry for a model. Names are compared without regard to case. */
export function findEntry(table: PriceTable, model: string, baseUrl?: string): PriceEntry | undefined {
  const name = model.toLowerCase();
  for (const provider of table.providers) {
    if (baseUrl !== undefined && !new RegExp(provider.url).test(baseUrl)) continue;
    const entry = provider.models.find(({ match }) => matches(match, name));
    if (entry !== undefined) return entry;
  }
  return undefined;
}

/** The rates in force on a day. */
export function ratesOn(entry: PriceEntry, day: Date): Rates | undefined {
  return entry.rates.findLast(({ from }) => from === undefined || Date.parse(from) <= day.getTime());
}

/** The price for a prompt of so many tokens. */
export function tierOf(price: Tiered, promptTokens: number): number {
  if (typeof price === "number") return price;
  return price.findLast(([above]) => promptTokens > above)?.[1] ?? price[0]?.[1] ?? 0;
}

function matches(match: Match, name: string): boolean {
  if ("equals" in match) return name === match.equals.toLowerCase();
  if ("starts_with" in match) return name.startsWith(match.starts_with.toLowerCase());
  if ("ends_with" in match) return name.endsWith(match.ends_with.toLowerCase());
  if ("contains" in match) return name.includes(match.contains.toLowerCase());
  if ("regex" in match) return new RegExp(match.regex, "i").test(name);
  if ("or" in match) return match.or.some((part) => matches(part, name));
  return match.and.every((part) => matches(part, name));
}
