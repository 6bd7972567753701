/** One measured figure and, where there is one, what we want of it. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  goal?: string;
}

/** A Markdown table. */
export function table(title: string, figures: readonly Figure[]): string {
  const rows = figures.map((figure) => `| ${figure.name} | ${round(figure.value)} ${figure.unit} | ${figure.goal ?? ""} |`);
  return [`### ${title}`, "", "| what | measured | goal |", "|---|---|---|", ...rows, ""].join("\n");
}

/** The p-th percentile, 0 to 100, by nearest rank; NaN of nothing. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? Number.NaN;
}

function round(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const figures = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toFixed(figures);
}
