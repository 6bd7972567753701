/** The first `limit` of the items that are offered, in the order of `compare`, without sorting them all. */
export class Top<T> {
  readonly #limit: number;
  readonly #compare: (x: T, y: T) => number;
  /** A heap whose root is the last of the kept. */
  readonly #heap: T[] = [];

  constructor(limit: number, compare: (x: T, y: T) => number) {
    this.#limit = limit;
    this.#compare = compare;
  }

  /** What must be beaten; undefined while there is room. */
  get last(): T | undefined {
    return this.#heap.length < this.#limit ? undefined : this.#heap[0];
  }

  offer(item: T): void {
    if (this.#limit <= 0) return;
    if (this.#heap.length < this.#limit) {
      this.#heap.push(item);
      rise(this.#heap, this.#compare);
    } else if (this.#compare(item, this.#heap[0] as T) < 0) {
      this.#heap[0] = item;
      sink(this.#heap, this.#compare);
    }
  }

  /** The first is first. */
  sorted(): T[] {
    return this.#heap.toSorted(this.#compare);
  }
}

function rise<T>(heap: T[], compare: (x: T, y: T) => number): void {
  for (let at = heap.length - 1; at > 0;) {
    const parent = (at - 1) >> 1;
    if (compare(heap[at] as T, heap[parent] as T) <= 0) return;
    swap(heap, at, parent);
    at = parent;
  }
}

function sink<T>(heap: T[], compare: (x: T, y: T) => number): void {
  for (let at = 0; ;) {
    const left = at * 2 + 1;
    if (left >= heap.length) return;
    const right = left + 1;
    const child = right < heap.length && compare(heap[right] as T, heap[left] as T) > 0 ? right : left;
    if (compare(heap[child] as T, heap[at] as T) <= 0) return;
    swap(heap, at, child);
    at = child;
  }
}

function swap<T>(heap: T[], x: number, y: number): void {
  const kept = heap[x] as T;
  heap[x] = heap[y] as T;
  heap[y] = kept;
}
