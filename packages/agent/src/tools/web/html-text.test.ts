import assert from "node:assert/strict";
import { test } from "node:test";

import { readPage } from "./html-text.ts";

const base = new URL("https://www.example.com/a/b");
const text = async (html: string): Promise<string> => (await readPage(html, base)).text;

test("words keep their blanks, and get no others", async () => {
  assert.equal(await text("a<b>b</b> c <i> d</i>e&nbsp;f&amp;g"), "ab c de f&g");
  assert.equal(await text("<p>one</p>\n<p> two <br>three"), "one\n\ntwo\nthree");
});

test("links are absolute, or only words", async () => {
  assert.equal(
    await text('<a href="../c?x">see</a> <a href="javascript:x()">this</a> <a href="#top">up</a> <a href="/z"></a>'),
    "see (https://www.example.com/c?x) this up",
  );
});

test("what is not to be read is left out, whatever is in it", async () => {
  assert.equal(await text("<script>if (a < b) '</p>'</script>x<div hidden>y<div>z</div></div><style>p</style>w"), "xw");
  assert.equal(await text("<noscript><p>no</noscript>yes"), "yes");
});

test("attributes called like what every object has are only attributes", async () => {
  assert.equal(await text('<a __proto__="x" constructor="y" href="/q">q</a>'), "q (https://www.example.com/q)");
});

test("time grows with the page, however it is made", { timeout: 60_000 }, async () => {
  for (const piece of [
    "<div>",
    "<a href=x>",
    "</p>",
    "<ul><li>",
    "<b ",
    "&amp",
    "<!--",
    "<table><tr><td>",
    "<blockquote>\n",
    " \t",
    "<pre>   ",
  ]) {
    await readPage(piece.repeat(500_000 / piece.length), base);
  }
});
