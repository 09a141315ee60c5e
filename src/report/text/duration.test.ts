import { describe, expect, it } from "vitest";
import { createCounter } from "../../cli/counter.ts";
import { duration } from "./duration.ts";

describe("a duration", () => {
  it.each([
    [0, "0 s"],
    [42.4, "42 s"],
    [59.6, "1 min"],
    [125, "2 min 5 s"],
    [599, "9 min 59 s"],
    [720, "12 min"],
    [3_599, "1 h"],
    [4_320, "1 h 12 min"],
    [7_200, "2 h"],
    [90_000, "25 h"],
    [Number.NaN, "an unknown time"],
  ])("of %d seconds is %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it("is how the count of images says what is left", () => {
    let time = 0;
    const lines: string[] = [];
    const stream = { write: (text: string) => lines.push(text) };
    const counter = createCounter(stream as never, "judged", 433, () => time);
    time = 10_001;
    counter.step();
    expect(lines).toEqual(["judged 1 of 433  0.1/s  1 h 12 min left\n"]);
  });
});
