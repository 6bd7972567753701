import type { QueryTerm } from "../lexical/bm25.ts";
import { stem } from "../lexical/tokenize.ts";

/** What a synonym counts beside the word itself. */
const COUNTS = 0.5;

/** Words by which programmers mean the same, a line each: general usage, not any one library's. */
const LINES = `
string str text
char character letter
integer int
float double decimal
number num numeric
dictionary dict map mapping hash
list array lst sequence
boolean bool
function func fn method
remove delete del drop strip discard erase
create make build new generate construct
get fetch retrieve obtain
read load parse
find search lookup locate match
check test is verify validate determine
convert cast transform to
print show display
directory dir folder
path filename
count length len size number
maximum max largest highest biggest greatest
minimum min smallest lowest least
average mean
sum total
combine merge join concatenate concat append
split divide separate partition chunk
sort order
random rand
date datetime
time timestamp
equal same identical compare equality
unique distinct duplicate dedupe
null none empty
image picture img
column col field
row line record
matrix array ndarray
database db sql
write save store dump
replace substitute sub
lowercase lower
uppercase upper
element item member value
index position offset
configuration config conf settings option
argument arg args
parameter param params
environment env
variable var
reverse invert flip
calculate compute calc
copy clone
start begin
stop kill terminate exit quit
execute run call invoke
object obj instance
plot draw chart graph
whitespace space blank
binary bin
hexadecimal hex
compress zip gzip archive
attribute attr property
sleep wait delay pause
subtract minus difference diff
error exception failure
password passwd
regex regexp regular
message msg
request req
response resp reply
address addr
temporary temp tmp
specification spec
reference ref
repository repo
authentication auth login
authorization permission access
timeout deadline expire
previous prev
current cur
source src
destination dest dst
connect connection conn
event evt
handler callback listener
initialize init setup
`;

const SYNONYMS = new Map<string, Set<string>>();
for (const line of LINES.trim().split("\n")) {
  const words = line.split(" ").map(stem);
  for (const word of words) {
    const known = SYNONYMS.get(word) ?? new Set<string>();
    for (const other of words) if (other !== word) known.add(other);
    SYNONYMS.set(word, known);
  }
}

/** Each token (stemmed, of `tokenize`) with what programmers write for the same. */
export function withSynonyms(tokens: readonly string[]): QueryTerm[] {
  return tokens.map(
    (token) => new Map([[token, 1], ...[...(SYNONYMS.get(token) ?? [])].map((other): [string, number] => [other, COUNTS])]),
  );
}
