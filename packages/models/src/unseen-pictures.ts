/**
 * What a model reads in the place of pictures that it is not shown; empty: there are none. `blind`: it takes no pictures at all, so looking
 * again would not help.
 */
export function unseenPictures(missing: number, blind: boolean): string {
  if (missing === 0) return "";
  const why = blind ? ": this model takes none; ask for text instead (a page's snapshot, a table)" : "";
  return `\n[${missing === 1 ? "1 picture is" : `${missing} pictures are`} not shown to you${why}]`;
}
