/**
 * An append-only list of which every earlier version stays valid: `push` gives a new list and leaves this one as it was, in constant
 * time, because versions share one array and differ in how much of it counts. (Pushing twice onto the same version copies it: rare.)
 * Items may have a key; the first item with a key is found by it.
 */
export class Chain<T> {
  static readonly empty: Chain<never> = new Chain<never>({ items: [], keys: new Map() }, 0);

  readonly length: number;
  readonly #shared: Shared<T>;

  private constructor(shared: Shared<T>, length: number) {
    this.#shared = shared;
    this.length = length;
  }

  push(item: T, key?: string): Chain<T> {
    // The empty chain is everybody's; so is any version that another branch has gone on from.
    const shared = this.length === 0 || this.length !== this.#shared.items.length ? this.#copy() : this.#shared;
    shared.items.push(item);
    if (key !== undefined && !shared.keys.has(key)) shared.keys.set(key, this.length);
    return new Chain(shared, this.length + 1);
  }

  /** From the start, or with a negative index from the end. */
  at(index: number): T | undefined {
    const place = index < 0 ? this.length + index : index;
    return place < this.length ? this.#shared.items[place] : undefined;
  }

  find(key: string): T | undefined {
    const place = this.#shared.keys.get(key);
    return place === undefined ? undefined : this.at(place);
  }

  has(key: string): boolean {
    return (this.#shared.keys.get(key) ?? Infinity) < this.length;
  }

  toArray(): T[] {
    return this.#shared.items.slice(0, this.length);
  }

  #copy(): Shared<T> {
    const keys = new Map<string, number>();
    for (const [key, place] of this.#shared.keys) if (place < this.length) keys.set(key, place);
    return { items: this.#shared.items.slice(0, this.length), keys };
  }
}

interface Shared<T> {
  items: T[];
  keys: Map<string, number>;
}
