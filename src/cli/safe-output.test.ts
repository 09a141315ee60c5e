import { describe, expect, it } from "vitest";
import { cli } from "../../test/support/cli.ts";
import { safeText } from "./safe-output.ts";

describe("safeText", () => {
  it.each([
    ["an escape sequence", "cat\u001b[31m red", "cat\ufffd[31m red"],
    ["a carriage return", "cat\rdog", "cat\ufffddog"],
    ["a backspace and a bell", "a\b\u0007", "a\ufffd\ufffd"],
    ["a C1 control character", "a\u009b31m", "a\ufffd31m"],
    ["a character that reverses the direction of text", "a\u202egpj.exe", "a\ufffdgpj.exe"],
  ])("replaces %s", (_, text, expected) => {
    expect(safeText(text)).toBe(expected);
    expect(safeText(text, true)).toBe(expected);
  });

  it("keeps line feeds, tabs and every printed character", () => {
    const text = "hé\tλ 漢字 👩‍🔬\n";
    expect(safeText(text)).toBe(text);
  });

  it("keeps the command line's own sequences only on a terminal", () => {
    const live = "\r\u001b[2Ktrain [==\u001b[2m>   \u001b[22m]";
    expect(safeText(live, true)).toBe(live);
    expect(safeText(live)).not.toContain("\u001b");
    expect(safeText("cat\r\u001b[2Kdog", true)).toBe("cat\ufffd\ufffd[2Kdog");
  });
});

describe("main", () => {
  it("never prints control characters of an argument", async () => {
    const { code, err } = await cli("tra\u001b]0;title\u0007in");
    expect(code).toBe(2);
    expect(err).toContain("unknown command");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find.
    expect(err).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });
});
