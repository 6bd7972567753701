/** Something that a tool found wrong at a place. Lines and columns count from 1; 0: the tool names none. */
export interface Problem {
  file: string;
  line: number;
  column: number;
  severity: "error" | "warning" | "note";
  message: string;
  /** Rule or code of the tool; empty: none. */
  code: string;
  /** The tool's format in which it was found: `typescript`, `gcc`, … */
  tool: string;
}

/** More are counted, not kept. */
const MOST = 500;

/**
 * Problems in what build tools, linters and test runners print: TypeScript, ESLint (stylish, unix and JSON), pytest, JUnit XML, Go, Cargo,
 * gcc and clang, Maven and Gradle, MSBuild, Node's test runner, TAP. Each format is recognised by itself, so that the output of a script that runs several of them is read whole; lines by which npm and shells say what they run are none.
 */
export function parseProblems(output: string): Problem[] {
  const text = output
    .replaceAll(/\x1b\[[0-9;]*[A-Za-z]/g, "")
    .replaceAll("\r\n", "\n")
    .replaceAll(/^[>$] .*$/gm, "");
  const found = PARSERS.flatMap((parse) => parse(text));
  const known = new Set<string>();
  return found
    .filter(({ file, line, message }) => {
      const key = `${file}:${line}:${message}`;
      return !known.has(key) && known.add(key).size > 0;
    })
    .slice(0, MOST);
}

type Parser = (text: string) => Problem[];

const problem = (
  tool: string,
  file: string,
  line: number | string,
  column: number | string,
  severity: string,
  message: string,
  code = "",
): Problem => ({
  file: file.replace(/^\.\//, ""),
  line: Number(line) || 0,
  column: Number(column) || 0,
  severity: /^(error|fatal|failure|fail)/i.test(severity) ? "error" : /^warn/i.test(severity) ? "warning" : "note",
  message: message.trim().replaceAll(/\s+/g, " ").slice(0, 500),
  code,
  tool,
});

/** `a.ts(1,2): error TS2322: …` and, with --pretty, `a.ts:1:2 - error TS2322: …`. */
const typescript: Parser = (text) =>
  [...text.matchAll(/^(\S[^\n(]*?)(?:\((\d+),(\d+)\):|:(\d+):(\d+) -) (error|warning) (TS\d+): (.*)$/gm)].map(
    ([, file = "", l1, c1, l2, c2, severity = "", code, message = ""]) =>
      problem("typescript", file, l1 ?? l2 ?? 0, c1 ?? c2 ?? 0, severity, message, code),
  );

/** ESLint's default format: a line with the file, then indented lines. */
const eslint: Parser = (text) => {
  const found: Problem[] = [];
  let file = "";
  for (const line of text.split("\n")) {
    const at = /^\s+(\d+):(\d+)\s+(error|warning)\s+(.+?)(?:\s{2,}([\w@/-]+))?\s*$/.exec(line);
    if (at !== null && file !== "") found.push(problem("eslint", file, at[1] ?? 0, at[2] ?? 0, at[3] ?? "", at[4] ?? "", at[5] ?? ""));
    else if (/^(\/|[A-Za-z]:\\|\.{0,2}[\w@-])[^\s:]*\.\w+$/.test(line)) file = line;
    else if (line.trim() === "") file = "";
  }
  return found;
};

/** `eslint --format json`. */
const eslintJson: Parser = (text) => {
  const start = text.indexOf('[{"filePath"');
  if (start === -1) return [];
  try {
    const files = JSON.parse(text.slice(start, text.lastIndexOf("]") + 1)) as Array<{
      filePath: string;
      messages: Array<{ line?: number; column?: number; severity: number; message: string; ruleId: string | null }>;
    }>;
    return files.flatMap(({ filePath, messages }) =>
      messages.map((one) =>
        problem(
          "eslint",
          filePath,
          one.line ?? 0,
          one.column ?? 0,
          one.severity === 2 ? "error" : "warning",
          one.message,
          one.ruleId ?? "",
        ),
      ),
    );
  } catch {
    return []; // cut off, or something else that begins so
  }
};

/** `FAILED tests/test_a.py::test_b - AssertionError: …`, with the line that the traceback of that test ends in. */
const pytest: Parser = (text) => {
  const reports = [
    ...text.matchAll(/^_{3,} (?:ERROR (?:collecting|at \w+ of) )?(\S+) _{3,}\n([\s\S]*?)(?=^_{3,} \S|^={3,} |(?![\s\S]))/gm),
  ];
  return [...text.matchAll(/^(FAILED|ERROR) (\S+?\.py)(?:::(\S+))?(?: - (.*))?$/gm)].map(
    ([, kind = "", file = "", name = "", why = ""]) => {
      const [, , report = ""] = reports.find(([, of]) => of === (name === "" ? file : name.replaceAll("::", "."))) ?? [];
      const lines = [...(report === "" ? text : report).matchAll(/^(\S+\.py):(\d+): /gm)].filter(([, of]) => of === file);
      const said = why || (/^E +(.+)$/m.exec(report)?.[1] ?? "");
      return problem("pytest", file, lines.at(-1)?.[2] ?? 0, 0, "error", [name, said].filter(Boolean).join(": ") || kind.toLowerCase());
    },
  );
};

/** `./a.go:3:2: undefined: x`, vet and golangci-lint; failed tests with `--- FAIL`. */
const go: Parser = (text) => [
  ...[...text.matchAll(/^(?:vet: )?(\S+\.go):(\d+):(?:(\d+):)? (.+)$/gm)].map(([, file = "", line = "", column = "0", message = ""]) =>
    problem("go", file, line, column, "error", message),
  ),
  ...[...text.matchAll(/^\s*--- FAIL: (\S+)[^\n]*\n(?:\s+(\S+\.go):(\d+): (.*))?/gm)].map(
    ([, name = "", file = "", line = "0", message = ""]) =>
      problem("go", file, line, 0, "error", [name, message].filter(Boolean).join(": ")),
  ),
  // The first place of a panic that is none of Go's own.
  ...[
    ...text.matchAll(
      /^panic: (.+?)(?: \[recovered\])?\n(?:.*\n)*?\ngoroutine [\s\S]*?^\t((?!\S*\/src\/(?:testing|runtime)\/)\S+\.go):(\d+) /gm,
    ),
  ].map(([, message = "", file = "", line = ""]) => problem("go", file, line, 0, "error", `panic: ${message}`)),
];

/** `error[E0308]: mismatched types` and, some lines on, `--> src/main.rs:2:5`; panics of tests. */
const cargo: Parser = (text) => [
  ...[...text.matchAll(/^(error|warning)(?:\[([\w:]+)\])?: (.+)\n(?:.*\n){0,3}?\s*--> ([^\s:]+):(\d+):(\d+)/gm)].map(
    ([, severity = "", code = "", message = "", file = "", line = "", column = ""]) =>
      problem("cargo", file, line, column, severity, message, code),
  ),
  ...[...text.matchAll(/^thread '([^']+)'[^\n]* panicked at ([^\s:]+):(\d+):(\d+):\n(.*)$/gm)].map(
    ([, name = "", file = "", line = "", column = "", message = ""]) =>
      problem("cargo", file, line, column, "error", `${name}: ${message}`),
  ),
];

/** `a.c:3:5: error: …`, of gcc, clang and everything that writes like them; what the linker misses. */
const gcc: Parser = (text) => [
  ...[...text.matchAll(/^(?:\S*ld: \S+: in function .+\n)?(\S+\.\w+):\(\.text\S*\): (undefined reference to .+)$/gm)].map(
    ([, file = "", message = ""]) => problem("gcc", file, 0, 0, "error", message),
  ),
  ...[...text.matchAll(/^([^\s:][^\n:]*):(\d+):(?:(\d+):)? (fatal error|error|warning|note): (.+?)(?: \[([-\w=+]+)\])?$/gm)].map(
    ([, file = "", line = "", column = "0", severity = "", message = "", code = ""]) =>
      problem("gcc", file, line, column, severity, message, code),
  ),
];

/** Maven's `[ERROR] /w/A.java:[2,20] …` and tests that Surefire reports; what Gradle prints of javac without a line of its own, and of tests. */
const java: Parser = (text) => [
  ...[...text.matchAll(/^\[(ERROR|WARNING)\] (\/?[^\s:[\]][^\n:[\]]*\.\w+):\[(\d+),(\d+)\] (.+)$/gm)].map(
    ([, severity = "", file = "", line = "", column = "", message = ""]) => problem("java", file, line, column, severity, message),
  ),
  ...[...text.matchAll(/^:[\w:-]+?(\/[^\n:]+\.\w+):(\d+): (error|warning): (.+)$/gm)].map(
    ([, file = "", line = "", severity = "", message = ""]) => problem("java", file, line, 0, severity, message),
  ),
  ...[
    ...text.matchAll(
      /^\[ERROR\] ([\w$.]+)(?:\(([\w$.]+)\))? +(?:-- )?Time elapsed: [^\n]*<<< (?:FAILURE|ERROR)!\n([^\n]*)\n((?:\s+at [^\n]*\n?)*)/gm,
    ),
  ].map(([, name = "", of, message = "", trace = ""]) => {
    const test = of === undefined ? name : `${of}.${name}`;
    const own = test.split(".").at(-2) ?? "";
    const places = [...trace.matchAll(/\(([\w$]+\.\w+):(\d+)\)/g)];
    const [, file = "", line = "0"] = places.find(([, path = ""]) => path.startsWith(`${own}.`)) ?? places[0] ?? [];
    return problem("java", file, line, 0, "error", `${test}: ${message.replace(/^java\.lang\./, "")}`);
  }),
  ...[...text.matchAll(/^(\w[\w$.]*) > (.+?) FAILED\n\s+([\w$.]+)(?:: (.*))? at ([\w$]+\.\w+):(\d+)/gm)].map(
    ([, of = "", name = "", kind = "", message = "", file = "", line = ""]) =>
      problem("java", file, line, 0, "error", `${of}.${name}: ${message || (kind.split(".").at(-1) ?? "")}`),
  ),
];

/** Failed cases of JUnit XML. */
const junit: Parser = (text) =>
  !text.includes("<testcase")
    ? []
    : [...text.matchAll(/<testcase\b([^>]*)>\s*<(failure|error)\b([^>]*?)(?:\/>|>([\s\S]*?)<\/\2>)/g)].map(
        ([, of = "", , at = "", body = ""]) => {
          const name = [attribute(of, "classname"), attribute(of, "name")].filter(Boolean).join(".");
          const places = [...body.matchAll(/([\w./-]+\.\w+):(\d+)/g)];
          const [, placeFile = "", placeLine = "0"] = places.find(([, path = ""]) => !path.startsWith("/")) ?? places[0] ?? [];
          const file = attribute(of, "file") || placeFile;
          return problem(
            "junit",
            file,
            attribute(of, "line") || placeLine,
            0,
            "error",
            `${name}: ${attribute(at, "message") || entities(body).split("\n")[0] || "failed"}`,
          );
        },
      );

/** `not ok 3 - name`, with what its YAML block says of the place; expected failures are none. */
const tap: Parser = (text) =>
  [...text.matchAll(/^\s*not ok(?: \d+)?(?: -)? ?([^\n#]*)(#[^\n]*)?\n?((?:\s+---\n[\s\S]*?\n\s+\.\.\.)?)/gm)]
    .filter(([, , directive = ""]) => !/# *(todo|skip)/i.test(directive))
    .map(([, name = "", , block = ""]) => {
      const [, file = "", line = "0", column = "0"] = /(?:location|at):\s*'?(?:file:\/\/)?([^\s':]+):(\d+)(?::(\d+))?/.exec(block) ?? [];
      const why = /(?:error|message):\s*(?:\|-\s*\n\s*)?(.+)/.exec(block)?.[1]?.replace(/^'|'$/g, "") ?? "";
      return problem("tap", file, line, column, "error", [name.trim(), why].filter(Boolean).join(": "));
    });

/** Node's own test runner, as it writes for people: its last part, where each failed test has its place. */
const node: Parser = (text) => {
  const at = text.indexOf("✖ failing tests:");
  if (at === -1) return [];
  return [...text.slice(at).matchAll(/^test at (\S+):(\d+):(\d+)\n✖ (.+?)(?: \([\d.]+m?s\))?\n\s*(.*)$/gm)].map(
    ([, file = "", line = "", column = "", name = "", why = ""]) =>
      problem("node", file, line, column, "error", [name, why.replace(/^\w*Error(?: \[\w+\])?: (?=.)/, "")].filter(Boolean).join(": ")),
  );
};

/** MSBuild's `Program.cs(3,9): error CS0103: … [/w/App.csproj]`. */
const msbuild: Parser = (text) =>
  [...text.matchAll(/^\s*(\S[^\n(]*?)\((\d+),(\d+)\): (error|warning) ((?!TS)[A-Z]+\d+): (.*?)(?: \[[^\]\n]+proj[^\]\n]*\])?$/gm)].map(
    ([, file = "", line = "", column = "", severity = "", code, message = ""]) =>
      problem("msbuild", file, line, column, severity, message, code),
  );

const PARSERS: readonly Parser[] = [typescript, msbuild, node, eslint, eslintJson, pytest, go, cargo, gcc, java, junit, tap];

function attribute(text: string, name: string): string {
  return entities(new RegExp(`\\b${name}="([^"]*)"`).exec(text)?.[1] ?? "");
}

function entities(text: string): string {
  return text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'")
    .replaceAll("&#10;", "\n")
    .replaceAll("&amp;", "&");
}
