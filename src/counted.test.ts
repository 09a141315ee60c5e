import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { counted, grouped, theFirst, wordFor } from "./counted.ts";

describe("counted", () => {
  it.each([
    [0, "step", "0 steps"],
    [1, "step", "1 step"],
    [2, "step", "2 steps"],
    [1, "class", "1 class"],
    [3, "class", "3 classes"],
    [1, "training batch", "1 training batch"],
    [4, "training batch", "4 training batches"],
    [3, "epoch", "3 epochs"],
    [5, "entry", "5 entries"],
    [2, "key", "2 keys"],
    [2, "test image", "2 test images"],
  ])("writes %i %s as %s", (count, noun, expected) => {
    expect(counted(count, noun)).toBe(expected);
  });

  it("writes the number as asked, and a count that is not known in the plural", () => {
    expect(counted(60_000, "image", grouped)).toBe("60,000 images");
    expect(counted(undefined, "image", () => "–")).toBe("– images");
  });

  it("takes verbs and irregular words", () => {
    expect([1, 2].map((count) => wordFor(count, "is", "are"))).toEqual(["is", "are"]);
  });

  it("leaves out the number of the first one", () => {
    expect([1, 20].map((count) => theFirst(count, "step"))).toEqual(["the first step", "the first 20 steps"]);
  });
});

// Nouns that messages count. A number with a fraction ("0.52 points", "2.1 times") always takes the plural, so it is
// not checked.
const NOUNS =
  "images|steps|classes|batches|epochs|runs|threads|cores|columns|rows|values|bytes|names|channels|labels|parts|" +
  "pixels|layers|files|folders|samples|maps|seeds|results|jobs|events|others|numbers|elements|entries|tensors|" +
  "dimensions|parameters|methods|lines|bits|bands|prototypes|masks|integers|pictures|strides|pairs|frames|pages";
const COUNT = new RegExp(`\\$\\{([^{}]*)\\} (?:[a-z]+ )?(?:${NOUNS})\\b`, "g");
const HAND_MADE = /=== 1 \? "[a-z]+" : "[a-z]+s"/;
/** Names of constants, whose values are never 1. */
const CONSTANT = /^[A-Z][A-Z_]+(\(.*\))?$/;
/** Text that only looks like a count: a word before a noun or a verb, and sizes. */
const NO_COUNT =
  /^\$\{(prototypes\} prototypes|baseline\} needs masks|depth\} samples|earlier\.line\} names|name\} (?:has|maps)|runDirectory\} (?:its images|names)|layer\} gets maps|what\} with values|(?:Math\.abs\(rows\)|width)\} pixels)/;

describe("the messages of the sources", () => {
  it("write no count with a plural of their own", () => {
    const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter(
      (name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !name.includes("generated"),
    );
    expect(files.length).toBeGreaterThan(200);
    const found = files.flatMap((name) =>
      readFileSync(join("src", name), "utf8")
        .split("\n")
        .flatMap((line, index) => {
          const counts = Array.from(line.matchAll(COUNT)).filter(
            ([text, expression = ""]) => !CONSTANT.test(expression) && !NO_COUNT.test(text),
          );
          return counts.length > 0 || (HAND_MADE.test(line) && name !== "counted.ts")
            ? [`${name}:${index + 1}: ${line.trim()}`]
            : [];
        }),
    );
    expect(found).toEqual([]);
  });
});
