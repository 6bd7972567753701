/** A seeded source of randomness; the same seed gives the same numbers for ever (mulberry32). */
export interface Random {
  readonly seed: number;
  /** In [0, 1). */
  next(): number;
  /** An integer in [0, limit). */
  below(limit: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  shuffle<T>(items: readonly T[]): T[];
  /** A source of its own, so that what one part draws does not shift what another gets. */
  fork(): Random;
}

/** Without a seed a new one is drawn; print `seed` where a test fails. */
export function seededRandom(seed: number = Math.floor(Math.random() * 2 ** 32)): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    seed,
    next,
    below,
    chance: (probability) => next() < probability,
    pick: <T>(items: readonly T[]) => {
      if (items.length === 0) throw new RangeError("nothing to pick from");
      return items[below(items.length)] as T;
    },
    shuffle: <T>(items: readonly T[]) => {
      const mixed = [...items];
      for (let last = mixed.length - 1; last > 0; last--) {
        const at = below(last + 1);
        [mixed[last], mixed[at]] = [mixed[at] as T, mixed[last] as T];
      }
      return mixed;
    },
    fork: () => seededRandom(below(2 ** 32)),
  };
}
