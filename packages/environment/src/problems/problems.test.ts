import assert from "node:assert/strict";
import { it } from "node:test";

import { parseProblems } from "./problems.ts";

/** What tools print, and what of it is a problem: tool, place, severity, code, message. */
const SAMPLES: ReadonlyArray<readonly [string, string, string[]]> = [
  [
    "tsc",
    "src/a.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'.\n",
    ["typescript src/a.ts:3:7 error TS2322 Type 'string' is not assignable to type 'number'."],
  ],
  ["tsc --pretty", "\x1b[96msrc/a.ts\x1b[0m:3:7 - \x1b[91merror\x1b[0m TS2322: No.\n", ["typescript src/a.ts:3:7 error TS2322 No."]],
  [
    "eslint",
    "\n/w/src/a.js\n  1:10  error    'x' is defined but never used  no-unused-vars\n  4:1   warning  Unexpected console statement   no-console\n\n✖ 2 problems\n",
    [
      "eslint /w/src/a.js:1:10 error no-unused-vars 'x' is defined but never used",
      "eslint /w/src/a.js:4:1 warning no-console Unexpected console statement",
    ],
  ],
  [
    "eslint --format json",
    '[{"filePath":"/w/a.js","messages":[{"ruleId":"eqeqeq","severity":2,"message":"Expected ===","line":2,"column":3}]}]\n',
    ["eslint /w/a.js:2:3 error eqeqeq Expected ==="],
  ],
  [
    "pytest",
    "tests/test_a.py:5: AssertionError\n=== short test summary info ===\nFAILED tests/test_a.py::test_sum - assert 3 == 4\nERROR tests/test_b.py - ImportError: no\n",
    ["pytest tests/test_a.py:5:0 error  test_sum: assert 3 == 4", "pytest tests/test_b.py:0:0 error  ImportError: no"],
  ],
  [
    "pytest, with several failures in one file and one that cannot be collected",
    "=== ERRORS ===\n___ ERROR collecting test_b.py ___\nImportError while importing\n/usr/lib/python3/importlib/__init__.py:126: in import_module\n    return x\ntest_b.py:1: in <module>\n    import no\nE   ModuleNotFoundError: No module named 'no'\n=== FAILURES ===\n___ test_sum ___\n    def test_sum():\n>       assert 3 == 4\nE       assert 3 == 4\n\ntest_a.py:5: AssertionError\n___ TestX.test_p[1] ___\nE       ValueError: no\n\ntest_a.py:9: ValueError\n=== short test summary info ===\nERROR test_b.py\nFAILED test_a.py::test_sum - assert 3 == 4\nFAILED test_a.py::TestX::test_p[1] - ValueError: no\n=== 2 failed ===\n",
    [
      "pytest test_b.py:1:0 error  ModuleNotFoundError: No module named 'no'",
      "pytest test_a.py:5:0 error  test_sum: assert 3 == 4",
      "pytest test_a.py:9:0 error  TestX::test_p[1]: ValueError: no",
    ],
  ],
  [
    "a panic of go test",
    "--- FAIL: TestPanic (0.00s)\npanic: assignment to entry in nil map [recovered]\n\tpanic: assignment to entry in nil map\n\ngoroutine 8 [running]:\ntesting.tRunner.func1.2({0x5, 0x5})\n\t/usr/lib/go-1.19/src/testing/testing.go:1396 +0x24e\npanic({0x5, 0x5})\n\t/usr/lib/go-1.19/src/runtime/panic.go:884 +0x212\nexample.test/a.TestPanic(0xc0)\n\t/w/g/a_test.go:11 +0x2e\n",
    ["go :0:0 error  TestPanic", "go /w/g/a_test.go:11:0 error  panic: assignment to entry in nil map"],
  ],
  [
    "the linker",
    "/usr/bin/ld: /tmp/ccq.o: in function `main':\nl.c:(.text+0x5): undefined reference to `f'\ncollect2: error: ld returned 1 exit status\n",
    ["gcc l.c:0:0 error  undefined reference to `f'"],
  ],
  [
    "go",
    "# example.com/svc\n./main.go:7:2: undefined: x\n--- FAIL: TestSum (0.00s)\n    main_test.go:9: got 3\n",
    ["go main.go:7:2 error  undefined: x", "go main_test.go:9:0 error  TestSum: got 3"],
  ],
  [
    "cargo",
    "error[E0308]: mismatched types\n --> src/main.rs:2:18\n  |\nwarning: unused variable: `y`\n --> src/lib.rs:1:5\nthread 'tests::adds' panicked at src/lib.rs:9:9:\nassertion failed\n",
    [
      "cargo src/main.rs:2:18 error E0308 mismatched types",
      "cargo src/lib.rs:1:5 warning  unused variable: `y`",
      "cargo src/lib.rs:9:9 error  tests::adds: assertion failed",
    ],
  ],
  [
    "gcc",
    "main.c: In function 'main':\nmain.c:3:5: warning: unused variable 'x' [-Wunused-variable]\nmain.c:4:1: fatal error: no.h: No such file or directory\n",
    ["gcc main.c:3:5 warning -Wunused-variable unused variable 'x'", "gcc main.c:4:1 error  no.h: No such file or directory"],
  ],
  [
    "Maven",
    "[INFO] 2 errors \n[ERROR] /w/src/main/java/A.java:[2,20] incompatible types: java.lang.String cannot be converted to int\n[ERROR] /w/src/main/java/A.java:[3,20] cannot find symbol\n[ERROR]   symbol:   variable y\n[WARNING] /w/src/main/java/B.java:[1,8] [deprecation] old() has been deprecated\n[ERROR] -> [Help 1]\n[ERROR] /w/src/main/java/A.java:[3,20] cannot find symbol\n",
    [
      "java /w/src/main/java/A.java:2:20 error  incompatible types: java.lang.String cannot be converted to int",
      "java /w/src/main/java/A.java:3:20 error  cannot find symbol",
      "java /w/src/main/java/B.java:1:8 warning  [deprecation] old() has been deprecated",
    ],
  ],
  [
    "Maven's Surefire",
    "[ERROR] Tests run: 2, Failures: 1, Errors: 1, Skipped: 0, Time elapsed: 0.882 s <<< FAILURE! - in ATest\n[ERROR] adds(ATest)  Time elapsed: 0.196 s  <<< FAILURE!\njava.lang.AssertionError: expected:<4> but was:<3>\n\tat org.junit.Assert.fail(Assert.java:89)\n\tat ATest.adds(ATest.java:4)\n\n[ERROR] a.BTest.fails -- Time elapsed: 0.006 s <<< ERROR!\njava.lang.IllegalStateException: no\n\tat a.BTest.fails(BTest.java:6)\n\n[ERROR] Failures: \n[ERROR]   ATest.adds:4 expected:<4> but was:<3>\n[ERROR] There are test failures.\n",
    [
      "java ATest.java:4:0 error  ATest.adds: AssertionError: expected:<4> but was:<3>",
      "java BTest.java:6:0 error  a.BTest.fails: IllegalStateException: no",
    ],
  ],
  [
    "Gradle",
    ":compileJava/w/src/main/java/A.java:2: error: incompatible types: String cannot be converted to int\n  int f() { return 1; }\n1 error\n FAILED\n\nATest > adds FAILED\n    java.lang.AssertionError at ATest.java:4\n\nBTest > [1] x FAILED\n    org.opentest4j.AssertionFailedError: no at BTest.java:6\n\n2 tests completed, 2 failed\n:test FAILED\n",
    [
      "java /w/src/main/java/A.java:2:0 error  incompatible types: String cannot be converted to int",
      "java ATest.java:4:0 error  ATest.adds: AssertionError",
      "java BTest.java:6:0 error  BTest.[1] x: no",
    ],
  ],
  [
    "JUnit XML",
    '<testsuite><testcase classname="A" name="ok"/><testcase classname="A" name="bad" file="a.py" line="4"><failure message="1 &lt; 2">trace</failure></testcase></testsuite>',
    ["junit a.py:4:0 error  A.bad: 1 < 2"],
  ],
  [
    "Node's test runner",
    "▶ sums\n  ✖ adds (1.1ms)\n  ✔ fine (0.1ms)\n✖ sums (2.2ms)\nℹ fail 2\n\n✖ failing tests:\n\ntest at t.test.mjs:3:26\n✖ adds (1.099862ms)\n  AssertionError [ERR_ASSERTION]: 2 == 3\n      at TestContext.<anonymous> (file:///w/t.test.mjs:3:50)\n\ntest at t.test.mjs:4:1\n✖ throws (0.1ms)\n  TypeError: oh\n      at x\n\ntest at t.test.mjs:5:1\n⚠ hooked (0.08ms) # TODO\n  Error: later\n",
    ["node t.test.mjs:3:26 error  adds: 2 == 3", "node t.test.mjs:4:1 error  throws: oh"],
  ],
  [
    "MSBuild", // after its documentation: no dotnet can be had where these tests are written
    "  Determining projects to restore...\n/w/App/Program.cs(3,9): error CS0103: The name 'x' does not exist in the current context [/w/App/App.csproj]\n/w/App/A.cs(7,13): warning CS0219: The variable 'y' is assigned [/w/App/App.csproj::TargetFramework=net8.0]\nBuild FAILED.\n    1 Error(s)\n",
    [
      "msbuild /w/App/Program.cs:3:9 error CS0103 The name 'x' does not exist in the current context",
      "msbuild /w/App/A.cs:7:13 warning CS0219 The variable 'y' is assigned",
    ],
  ],
  [
    "TAP",
    "TAP version 13\nok 1 - fine\nnot ok 2 - adds\n  ---\n  location: '/w/a.test.js:3:1'\n  error: 'Expected 3'\n  ...\nnot ok 3 - later # TODO not yet\n",
    ["tap /w/a.test.js:3:1 error  adds: Expected 3"],
  ],
];

for (const [name, text, expected] of SAMPLES) {
  it(`problems are read in what ${name} prints`, () => {
    const found = parseProblems(text).map(
      ({ tool, file, line, column, severity, code, message }) => `${tool} ${file}:${line}:${column} ${severity} ${code} ${message}`,
    );
    assert.deepEqual(found, expected);
  });
}

it("there are none in ordinary text, and a bounded number in enormous output", () => {
  assert.deepEqual(parseProblems("Listening on http://localhost:3000\nDone: 12:30:15 all fine\n"), []);
  assert.equal(parseProblems(Array.from({ length: 3_000 }, (_, index) => `a.c:${index + 1}:1: error: e${index}\n`).join("")).length, 500);
});
