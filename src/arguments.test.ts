import { describe, expect, it } from "vitest";
import { optionsOf } from "./arguments.ts";

interface Options {
  seed?: number;
  batchSize?: number;
}

describe("optionsOf", () => {
  const read = (options: unknown) => optionsOf("road", options as Options, ["seed", "batchSize"]);

  it("returns options whose names are all known, also those that an object inherits", () => {
    const options = { seed: 1, batchSize: 2 };
    expect(read(options)).toBe(options);
    expect(read(Object.create({ seed: 3 })).seed).toBe(3);
    expect(read({})).toEqual({});
  });

  it.each([
    [{ sede: 1 }, "road: unknown option sede; did you mean seed? The options are seed, batchSize"],
    [
      { seed: 1, batch_size: 2 },
      "road: unknown option batch_size; did you mean batchSize? The options are seed, batchSize",
    ],
    [{ wallpaper: undefined }, "road: unknown option wallpaper. The options are seed, batchSize"],
    [{ toString: 1 }, "road: unknown option toString. The options are seed, batchSize"],
  ])("refuses an unknown name and says which was meant: %j", (options, message) => {
    expect(() => read(options)).toThrow(expect.objectContaining({ code: "E_ARGUMENT", message }));
  });

  it.each([null, 3, "seed", [1], new Map()])("refuses a value that is not an object: %j", (options) => {
    expect(() => read(options)).toThrow(/^road: options must be an object, got /);
  });

  it("takes every name if no list is given", () => {
    expect(optionsOf("road", { wallpaper: 1 })).toEqual({ wallpaper: 1 });
  });

  it("does not compile with a list that is incomplete or names another option", () => {
    const options: Options = {};
    // @ts-expect-error batchSize is missing
    expect(() => optionsOf("road", options, ["seed"])).not.toThrow();
    // @ts-expect-error there is no option of that name
    expect(() => optionsOf("road", options, ["seed", "batchSize", "sede"])).not.toThrow();
  });
});
