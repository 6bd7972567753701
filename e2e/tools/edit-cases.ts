/** A file to begin with, or that is expected: text, bytes, a link, or a mode as well. */
export type FileSpec = string | Buffer | { link: string } | { hardLink: string } | { text: string; mode: number } | { directory: true };

export interface EditStep {
  args: object;
  status: "ok" | "error";
  output?: RegExp;
}

export interface EditCase {
  name: string;
  before?: Record<string, FileSpec>;
  steps: EditStep[];
  /** What must be there afterwards, byte for byte; undefined: nothing. */
  after?: Record<string, FileSpec | undefined>;
  /** Names of one file, which must still share it. */
  same?: [string, string];
}

const replace = (path: string, old_str: string, new_str: string): EditStep => ({
  args: { command: "str_replace", path, old_str, new_str },
  status: "ok",
});
const insert = (path: string, insert_line: number, new_str: string): EditStep => ({
  args: { command: "insert", path, insert_line, new_str },
  status: "ok",
});
const create = (path: string, file_text: string): EditStep => ({ args: { command: "create", path, file_text }, status: "ok" });
const undo = (path: string): EditStep => ({ args: { command: "undo", path }, status: "ok" });
const view = (path: string, output: RegExp, view_range?: number[]): EditStep => ({
  args: { command: "view", path, ...(view_range === undefined ? {} : { view_range }) },
  status: "ok",
  output,
});
const refused = (args: object, output: RegExp): EditStep => ({ args, status: "error", output });
const utf16 = (text: string): Buffer => Buffer.from(text, "utf16le");

export const replaceCases: EditCase[] = [
  { name: "LF stays LF", before: { f: "a\nb\nc\n" }, steps: [replace("f", "b", "x\ny")], after: { f: "a\nx\ny\nc\n" } },
  {
    name: "CRLF stays CRLF",
    before: { f: "a\r\nb\r\nc\r\n" },
    steps: [replace("f", "a\nb", "x\ny\nz")],
    after: { f: "x\r\ny\r\nz\r\nc\r\n" },
  },
  {
    name: "one line of a CRLF file becomes two",
    before: { f: "a\r\nb\r\n" },
    steps: [replace("f", "b", "1\n2")],
    after: { f: "a\r\n1\r\n2\r\n" },
  },
  {
    name: "mixed endings elsewhere stay",
    before: { f: "a\r\nb\nc\r\nd\n" },
    steps: [replace("f", "c", "x")],
    after: { f: "a\r\nb\nx\r\nd\n" },
  },
  {
    name: "line endings can be changed on purpose",
    before: { f: "a\r\nb\r\n" },
    steps: [replace("f", "a\r\n", "a\n")],
    after: { f: "a\nb\r\n" },
  },
  { name: "classic Mac line ends", before: { f: "a\rb\r" }, steps: [replace("f", "b", "c\nd")], after: { f: "a\rc\rd\r" } },
  { name: "a missing final newline stays missing", before: { f: "a\nb" }, steps: [replace("f", "b", "c")], after: { f: "a\nc" } },
  { name: "a final newline stays", before: { f: "a\nb\n" }, steps: [replace("f", "b", "c")], after: { f: "a\nc\n" } },
  {
    name: "the byte-order mark stays",
    before: { f: Buffer.from("\ufeffa\nb\n") },
    steps: [replace("f", "a", "x")],
    after: { f: Buffer.from("\ufeffx\nb\n") },
  },
  {
    name: "UTF-16 little endian stays",
    before: { f: utf16("\ufeffa\r\nü\r\n") },
    steps: [replace("f", "ü", "日\n👍")],
    after: { f: utf16("\ufeffa\r\n日\r\n👍\r\n") },
  },
  {
    name: "UTF-16 big endian stays",
    before: { f: utf16("\ufeffab\n").swap16() },
    steps: [replace("f", "ab", "cd")],
    after: { f: utf16("\ufeffcd\n").swap16() },
  },
  {
    name: "UTF-16 without a mark stays",
    before: { f: utf16("first line\nsecond\n") },
    steps: [replace("f", "second", "2nd")],
    after: { f: utf16("first line\n2nd\n") },
  },
  {
    name: "Latin-1 stays",
    before: { f: Buffer.from("caf\xe9 cr\xe8me\n", "latin1") },
    steps: [replace("f", "crème", "brûlée")],
    after: { f: Buffer.from("caf\xe9 br\xfbl\xe9e\n", "latin1") },
  },
  {
    name: "Latin-1 refuses what it cannot hold",
    before: { f: Buffer.from("caf\xe9\n", "latin1") },
    steps: [refused({ command: "str_replace", path: "f", old_str: "café", new_str: "5 €" }, /Latin-1 and cannot hold "€"/)],
    after: { f: Buffer.from("caf\xe9\n", "latin1") },
  },
  {
    name: "stray bytes elsewhere stay",
    before: { f: Buffer.from("a\nb\x80\xff\n", "latin1") },
    steps: [replace("f", "a", "x")],
    after: { f: Buffer.from("x\nb\x80\xff\n", "latin1") },
  },
  {
    name: "tabs and trailing blanks stay",
    before: { f: "\ta  \n\t\tb\n" },
    steps: [replace("f", "\t\tb", "\t\tc")],
    after: { f: "\ta  \n\t\tc\n" },
  },
  {
    name: "characters with a meaning elsewhere",
    before: { f: "a.b $1 \\n [x]\n" },
    steps: [replace("f", "a.b $1 \\n [x]", "$& $$ $1 \\1 ${x}")],
    after: { f: "$& $$ $1 \\1 ${x}\n" },
  },
  {
    name: "replaced by nothing",
    before: { f: "a\nb\nc\n" },
    steps: [{ args: { command: "str_replace", path: "f", old_str: "b\n" }, status: "ok" }],
    after: { f: "a\nc\n" },
  },
  { name: "all of a file", before: { f: "all" }, steps: [replace("f", "all", "")], after: { f: "" } },
  {
    name: "the mode stays",
    before: { f: { text: "#!/bin/sh\nexit 0\n", mode: 0o750 } },
    steps: [replace("f", "exit 0", "exit 1")],
    after: { f: { text: "#!/bin/sh\nexit 1\n", mode: 0o750 } },
  },
  {
    name: "a symbolic link stays one",
    before: { real: "a\n", f: { link: "real" } },
    steps: [replace("f", "a", "b")],
    after: { f: { link: "real" }, real: "b\n" },
  },
  {
    name: "a link through a directory",
    before: { "dir/real": "a\n", d: { link: "dir" } },
    steps: [replace("d/real", "a", "b")],
    after: { d: { link: "dir" }, "dir/real": "b\n" },
  },
  {
    name: "a hard link stays shared",
    before: { real: "a\n", f: { hardLink: "real" } },
    steps: [replace("f", "a", "b")],
    after: { real: "b\n", f: "b\n" },
    same: ["real", "f"],
  },
  {
    name: "two places are an error that names them",
    before: { f: "x = 1\ny\nx = 1\n" },
    steps: [refused({ command: "str_replace", path: "f", old_str: "x = 1", new_str: "z" }, /occurs 2 times[^]*1\tx = 1\n3\tx = 1/)],
    after: { f: "x = 1\ny\nx = 1\n" },
  },
  {
    name: "overlapping places are two",
    before: { f: "aaa\n" },
    steps: [refused({ command: "str_replace", path: "f", old_str: "aa", new_str: "b" }, /occurs 2 times/)],
    after: { f: "aaa\n" },
  },
  {
    name: "places in either line ending count",
    before: { f: "a\nb\na\r\nb\r\n" },
    steps: [refused({ command: "str_replace", path: "f", old_str: "a\nb", new_str: "c" }, /occurs 2 times/)],
  },
  {
    name: "not there: the nearest is shown",
    before: { f: "function add(a, b) {\n\treturn a + b;\n}\n" },
    steps: [
      refused(
        { command: "str_replace", path: "f", old_str: "  return a + b;", new_str: "x" },
        /only white space differs, from line 2:\n2\t\treturn a \+ b;/,
      ),
    ],
  },
  {
    name: "not there: a similar line is shown",
    before: { f: "const limit = 10;\nother();\n" },
    steps: [refused({ command: "str_replace", path: "f", old_str: "const limits = 10;", new_str: "x" }, /similar, from line 1/)],
  },
  {
    name: "not there: line numbers of a view",
    before: { f: "one thing\nanother\n" },
    steps: [refused({ command: "str_replace", path: "f", old_str: "1\tone thing\n2\tanother", new_str: "x" }, /line numbers of the view/)],
  },
  {
    name: "the same again is an error",
    before: { f: "a\n" },
    steps: [refused({ command: "str_replace", path: "f", old_str: "a", new_str: "a" }, /nothing would change/)],
  },
  {
    name: "an empty old_str is an error",
    before: { f: "a\n" },
    steps: [refused({ command: "str_replace", path: "f", old_str: "", new_str: "x" }, /old_str is empty/)],
  },
  {
    name: "old_str left out",
    before: { f: "a\n" },
    steps: [refused({ command: "str_replace", path: "f", new_str: "x" }, /needs old_str/)],
  },
  {
    name: "half a surrogate pair is refused",
    before: { f: "a\n" },
    steps: [refused({ command: "str_replace", path: "f", old_str: "a", new_str: "\ud800" }, /cannot hold/)],
    after: { f: "a\n" },
  },
  {
    name: "the result shows the change with line numbers",
    before: { f: "1\n2\n3\n4\n5\n6\n7\n8\n9\n" },
    steps: [{ ...replace("f", "5", "five"), output: /^Changed f:\n2\t2\n3\t3\n4\t4\n5\tfive\n6\t6\n7\t7\n8\t8$/ }],
  },
  { name: "an absolute path within the workspace", before: { f: "a\n" }, steps: [replace("<workspace>/f", "a", "b")], after: { f: "b\n" } },
  {
    name: "a name with blanks and quotes",
    before: { 'it\'s "a" file.txt': "a\n" },
    steps: [replace('it\'s "a" file.txt', "a", "b")],
    after: { 'it\'s "a" file.txt': "b\n" },
  },
];

export const insertCases: EditCase[] = [
  { name: "insert in the middle", before: { f: "a\nb\n" }, steps: [insert("f", 1, "x")], after: { f: "a\nx\nb\n" } },
  { name: "insert at the beginning", before: { f: "a\n" }, steps: [insert("f", 0, "x\ny\n")], after: { f: "x\ny\na\n" } },
  { name: "insert at the end", before: { f: "a\n" }, steps: [insert("f", 1, "x")], after: { f: "a\nx\n" } },
  { name: "insert after an unterminated last line", before: { f: "a\nb" }, steps: [insert("f", 2, "x")], after: { f: "a\nb\nx" } },
  { name: "insert into CRLF", before: { f: "a\r\nb\r\n" }, steps: [insert("f", 1, "x\ny")], after: { f: "a\r\nx\r\ny\r\nb\r\n" } },
  { name: "insert after an unterminated CRLF line", before: { f: "a\r\nb" }, steps: [insert("f", 2, "x")], after: { f: "a\r\nb\r\nx" } },
  { name: "insert into an empty file", before: { f: "" }, steps: [insert("f", 0, "x")], after: { f: "x\n" } },
  { name: "insert an empty line", before: { f: "a\nb\n" }, steps: [insert("f", 1, "")], after: { f: "a\n\nb\n" } },
  { name: "insert after a byte-order mark", before: { f: "\ufeffa\n" }, steps: [insert("f", 0, "x")], after: { f: "\ufeffx\na\n" } },
  {
    name: "insert past the end is an error",
    before: { f: "a\n" },
    steps: [refused({ command: "insert", path: "f", insert_line: 2, new_str: "x" }, /past the end: f has 1 line/)],
    after: { f: "a\n" },
  },
];

export const createCases: EditCase[] = [
  { name: "create a file", steps: [create("f", "a\nb\n")], after: { f: "a\nb\n" } },
  { name: "create exactly what was said", steps: [create("f", "a\r\nb")], after: { f: "a\r\nb" } },
  { name: "create an empty file", steps: [create("f", "")], after: { f: "" } },
  { name: "create with its directories", steps: [create("x/y/z.txt", "a")], after: { "x/y/z.txt": "a" } },
  {
    name: "create does not replace what was never seen",
    before: { f: "precious\n" },
    steps: [refused({ command: "create", path: "f", file_text: "x" }, /there already/)],
    after: { f: "precious\n" },
  },
  {
    name: "create replaces what was seen, its mode and links kept",
    before: { f: { text: "old\n", mode: 0o755 }, g: { hardLink: "f" } },
    steps: [view("f", /old/), create("f", "new\n")],
    after: { f: { text: "new\n", mode: 0o755 }, g: "new\n" },
    same: ["f", "g"],
  },
  {
    name: "create through a dangling link",
    before: { l: { link: "target" } },
    steps: [create("l", "a")],
    after: { l: { link: "target" }, target: "a" },
  },
  {
    name: "create where a directory is",
    before: { d: { directory: true } },
    steps: [
      refused({ command: "create", path: "d", file_text: "x" }, /no regular file/),
      refused({ command: "create", path: "new/", file_text: "x" }, /names a directory/),
    ],
  },
  {
    name: "create below a file",
    before: { f: "a" },
    steps: [refused({ command: "create", path: "f/g", file_text: "x" }, /f/)],
    after: { f: "a" },
  },
  { name: "undo of create deletes file and directories", steps: [create("x/y/z.txt", "a"), undo("x/y/z.txt")], after: { x: undefined } },
  {
    name: "undo of create keeps directories that others use",
    steps: [create("x/a.txt", "a"), create("x/b.txt", "b"), undo("x/a.txt")],
    after: { "x/a.txt": undefined, "x/b.txt": "b" },
  },
  {
    name: "undo steps back through the edits",
    before: { f: "1\n" },
    steps: [
      replace("f", "1", "2"),
      replace("f", "2", "3"),
      undo("f"),
      view("f", /1\t2/),
      undo("f"),
      refused({ command: "undo", path: "f" }, /no edit/),
    ],
    after: { f: "1\n" },
  },
  {
    name: "undo brings bytes back exactly",
    before: { f: Buffer.from("\ufeffcaf\r\nx\ny") },
    steps: [replace("f", "x", "z"), insert("f", 3, "end"), undo("f"), undo("f")],
    after: { f: Buffer.from("\ufeffcaf\r\nx\ny") },
  },
  {
    name: "undo under another name of the file",
    before: { real: "a\n", l: { link: "real" } },
    steps: [replace("l", "a", "b"), undo("real")],
    after: { real: "a\n" },
  },
];

export const pathCases: EditCase[] = [
  {
    name: "a path that leads up and out",
    steps: [
      refused({ command: "view", path: "../../etc/passwd" }, /outside the workspace/),
      refused({ command: "create", path: "../x", file_text: "x" }, /outside the workspace/),
    ],
  },
  { name: "an absolute path elsewhere", steps: [refused({ command: "view", path: "/etc/passwd" }, /outside the workspace/)] },
  {
    name: "a link that leads out",
    before: { l: { link: "/etc" }, p: { link: "/etc/passwd" }, n: { link: "/tmp/not-there" } },
    steps: [
      refused({ command: "view", path: "l/passwd" }, /outside/),
      refused({ command: "str_replace", path: "p", old_str: "root", new_str: "x" }, /outside/),
      refused({ command: "create", path: "n", file_text: "x" }, /outside/),
      refused({ command: "create", path: "l/new", file_text: "x" }, /outside/),
    ],
  },
  { name: "a link in a circle", before: { a: { link: "b" }, b: { link: "a" } }, steps: [refused({ command: "view", path: "a" }, /./)] },
  {
    name: "no such file, a likely one",
    before: { "config.json": "{}" },
    steps: [refused({ command: "view", path: "confg.json" }, /did you mean config\.json\?/)],
  },
  { name: "a view is numbered", before: { f: "a\n\nc" }, steps: [view("f", /^f \(3 lines, no final newline\)\n1\ta\n2\t\n3\tc$/)] },
  {
    name: "a view of a part",
    before: { f: "a\nb\nc\nd\n" },
    steps: [view("f", /\n2\tb\n3\tc$/, [2, 3]), view("f", /\n3\tc\n4\td$/, [3, -1]), view("f", /\n4\td$/, [4, 99])],
  },
  {
    name: "a range that is none",
    before: { f: "a\n" },
    steps: [
      refused({ command: "view", path: "f", view_range: [5, 6] }, /not within lines 1 to 1/),
      refused({ command: "view", path: "f", view_range: [0, 1] }, /not within/),
    ],
  },
  { name: "what is unusual is said", before: { f: "\ufeffa\r\n" }, steps: [view("f", /byte-order mark, CRLF/)] },
  { name: "an empty file", before: { f: "" }, steps: [view("f", /f is empty/)] },
  {
    name: "a binary file",
    before: { f: Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 0]) },
    steps: [
      refused({ command: "view", path: "f" }, /binary file \(8 bytes\)/),
      refused({ command: "str_replace", path: "f", old_str: "E", new_str: "x" }, /binary/),
    ],
  },
  {
    name: "a directory",
    before: { "d/e/f": "x", "d/g": "y", l: { link: "d" } },
    steps: [
      view(".", /^\.\/ \(\d+ entries\)\nd\/\n {2}e\/\n {2}g\nl -> d$/),
      refused({ command: "str_replace", path: "d", old_str: "x", new_str: "y" }, /a directory/),
    ],
  },
  {
    name: "a file that is too long to show",
    before: { f: "line of text\n".repeat(10_000) },
    steps: [view("f", /go on with view_range \[\d+, 10000\]/)],
  },
  {
    name: "a line that is too long to show",
    before: { f: "x".repeat(100_000) },
    steps: [view("f", /99,000 more characters in this line/)],
  },
  {
    name: "a file too large to hold",
    before: { f: "0123456789\n".repeat(3_200_000) },
    steps: [
      view("f", /3000000\t0123456789\n3000001\t0123456789/, [3_000_000, 3_000_001]),
      refused({ command: "str_replace", path: "f", old_str: "x", new_str: "y" }, /too large to edit/),
    ],
  },
];
