import { describe, expect, it } from "vitest";
import { getRngState, manualSeed, memory, rand, tidy } from "./index.ts";
import { OwnGenerator } from "./random.ts";

describe("OwnGenerator", () => {
  it("draws from its seed, continues from call to call, and leaves the thread's generator alone", () =>
    tidy(() => {
      manualSeed(3);
      const whole = rand([6]);
      manualSeed(11);
      const before = getRngState();
      using generator = new OwnGenerator("f", 3);
      const [first, second] = [generator.draw(() => rand([2])), generator.draw(() => rand([4]))];
      expect(getRngState().equal(before)).toBe(true);
      expect(first).toBeAllclose(whole.narrow(0, 0, 2), { rtol: 0, atol: 0 });
      expect(second).toBeAllclose(whole.narrow(0, 2, 4), { rtol: 0, atol: 0 });
    }));

  it("puts the thread's generator back where a draw throws, and frees what it held", () => {
    const { liveTensors } = memory();
    const generator = new OwnGenerator("f", 3);
    tidy(() => {
      const before = getRngState();
      const failing = () => generator.draw(() => rand([-1]));
      expect(failing).toThrow(/rand|shape/);
      expect(getRngState().equal(before)).toBe(true);
    });
    generator[Symbol.dispose]();
    expect(memory().liveTensors).toBe(liveTensors);
  });

  it.each([-1, 0.5, Number.NaN, "1"])("refuses the seed %s", (seed) => {
    expect(() => new OwnGenerator("f", seed as number)).toThrow(/^f: seed must be an integer >= 0, got/);
  });
});
