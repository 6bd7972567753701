/** Share of the relevant documents that are among the found; 0 when there is none. */
export function recall(found: readonly string[], grades: ReadonlyMap<string, number>): number {
  const relevant = [...grades].filter(([, grade]) => grade > 0).map(([id]) => id);
  const there = new Set(found);
  return relevant.length === 0 ? 0 : relevant.filter((id) => there.has(id)).length / relevant.length;
}

/** Normalised discounted cumulative gain at k (Järvelin & Kekäläinen 2002), with the grade itself as gain, as trec_eval has it. */
export function ndcg(found: readonly string[], grades: ReadonlyMap<string, number>, k: number): number {
  const gain = (values: readonly number[]): number =>
    values.slice(0, k).reduce((sum, grade, at) => sum + Math.max(0, grade) / Math.log2(at + 2), 0);
  const ideal = gain([...grades.values()].toSorted((x, y) => y - x));
  return ideal === 0 ? 0 : gain(found.map((id) => grades.get(id) ?? 0)) / ideal;
}

/** One over the rank of the first relevant document; 0 when none was found. */
export function reciprocalRank(found: readonly string[], grades: ReadonlyMap<string, number>): number {
  const at = found.findIndex((id) => (grades.get(id) ?? 0) > 0);
  return at < 0 ? 0 : 1 / (at + 1);
}

/** 0 of nothing. */
export function average(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** By nearest rank; 0 of nothing. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? 0;
}
