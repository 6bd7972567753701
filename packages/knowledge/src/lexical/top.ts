/** The first `limit` of the items in the order of `compare`, without sorting them all. */
export function best<T>(items: Iterable<T>, limit: number, compare: (x: T, y: T) => number): T[] {
  if (limit <= 0) return [];
  // A heap whose root is the last of the kept.
  const heap: T[] = [];
  for (const item of items) {
    if (heap.length < limit) {
      heap.push(item);
      rise(heap, compare);
    } else if (compare(item, heap[0] as T) < 0) {
      heap[0] = item;
      sink(heap, compare);
    }
  }
  return heap.toSorted(compare);
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
