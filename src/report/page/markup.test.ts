import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { escapeMarkup, Markup, markup } from "./markup.ts";

describe("markup", () => {
  it("escapes what is inserted, in content and in attributes", () => {
    const name = `<img src=x onerror="alert('1')"> & co`;
    expect(markup`<b title="${name}">${name}</b>`.text).toBe(
      '<b title="&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp; co">&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp; co</b>',
    );
  });

  it("nests markup without escaping it twice", () => {
    expect(markup`<p>${markup`<b>${"a & b"}</b>`}</p>`.text).toBe("<p><b>a &amp; b</b></p>");
  });

  it("joins lists and leaves out what is absent", () => {
    expect(markup`${[markup`<i>1</i>`, "<", [2, null]]}${undefined}`.text).toBe("<i>1</i>&lt;2");
  });

  it("is its text where a string is wanted", () => {
    expect(String(new Markup("<hr>"))).toBe("<hr>");
  });
});

describe("escapeMarkup", () => {
  it("drops what XML cannot hold, and keeps the rest", () => {
    expect(escapeMarkup("a\u0000b\u0008c\td\ne\ud800f\uffff😀")).toBe("abc\td\nef😀");
  });

  it("leaves no character that could open a tag or close an attribute", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)/.test(escapeMarkup(text))).toBe(false);
      }),
    );
  });
});
