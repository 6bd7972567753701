/** Short common words of programs, such as are written together without a hump: `isinstance`, `makedirs`, `startswith`. */
const WORDS = new Set(
  (
    "add all any arg args array atom attr attribute back base bin bit block bool box byte bytes call case cell char check child class clean " +
    "clear close code col color column command config copy count cpu create data database date day db debug default del delete dict dir dirs " +
    "directory doc down dump edge element empty end ends env error event exec exist exists field file find first flag float folder font form " +
    "format frame free from full func get graph group has hash head header heap hex home host html image index info init input instance int " +
    "into is item iter join json key kind last layer left len length letter level lib limit line lines link list load local lock log lower " +
    "make map mark mask max mean median memory menu message meta min mode model month mouse multi name net new next node none not null num " +
    "number numeric obj object offset on one open option order out output page pair param parent parse part path pattern pixel plot point " +
    "pos port pre pretty print prompt proxy push put query queue random range rate read real record rect ref regex remove rename render " +
    "repeat replace request reset response result return rev reverse right root round row rows run save scale scan schema scope score " +
    "screen script search seek select send sensitive server service session set shape sheet shell show shuffle side single size skip sleep slice " +
    "sort source space split sql stack stamp start starts state status std stem step stop store str stream string strip struct style sub sum " +
    "swap sync system table tag task temp test text thread tick time title to token tool top trace tree trim true tuple type uni unique unit " +
    "up update upper url use user utf val value var variable vector version view wait walk white window with word work world wrap write " +
    "xml year zero zip zone"
  ).split(" "),
);

/** The two words of one that is written together; empty when it is none, or a common word itself. */
export function runTogether(word: string): string[] {
  if (word.length < 5 || word.length > 20 || WORDS.has(word)) return [];
  for (let at = word.length - 2; at >= 2; at -= 1) {
    const [first, second] = [word.slice(0, at), word.slice(at)];
    if (WORDS.has(first) && (WORDS.has(second) || WORDS.has(second.replace(/s$/, "")))) return [first, second];
  }
  return [];
}
