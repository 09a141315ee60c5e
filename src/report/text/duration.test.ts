import { describe, expect, it } from "vitest";
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
});
