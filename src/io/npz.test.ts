import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { BatchCamError } from "../errors.ts";
import { readNpz } from "./npz.ts";

const WRITTEN = fileURLToPath(new URL("../../test/fixtures/inputs/npy-dtypes.npz", import.meta.url));
const DTYPES = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"];
const COUNT = 24;

/** The values of the fixture of shape (2, 3, 4), in the order of the file. */
function written(dtype: string, fortran: boolean): number[] {
  return Array.from({ length: COUNT }, (_, at) => {
    const index = fortran ? (at % 2) * 12 + (Math.floor(at / 2) % 3) * 4 + Math.floor(at / 6) : at;
    if (dtype === "b1") return index % 3 === 0 ? 1 : 0;
    return dtype.startsWith("f") ? index / COUNT - 0.5 : index;
  });
}

describe("readNpz", () => {
  it.each(DTYPES)("reads %s as NumPy wrote it, in both byte orders and both orders of indices", async (dtype) => {
    const names = ["<", ">"].flatMap((order) => ["C", "F"].map((layout) => `${order}${dtype}${layout}`));
    const found = await readNpz(WRITTEN, names, async (arrays) =>
      Promise.all(names.map(async (name) => ({ ...arrays.get(name), values: await arrays.get(name)?.read() }))),
    );
    const digits = dtype === "f2" ? 3 : 7;
    for (const { shape, values, fortranOrder } of found) {
      expect(shape).toEqual([2, 3, 4]);
      for (const [i, value] of written(dtype, fortranOrder === true).entries())
        expect(values?.[i]).toBeCloseTo(value, digits);
    }
    expect(found.map(({ fortranOrder }) => fortranOrder)).toEqual([false, true, false, true]);
  });

  it("reads arrays without an index and without values", async () => {
    const found = await readNpz(WRITTEN, ["scalar", "empty"], async (arrays) => {
      const { shape = [], read } = arrays.get("scalar") ?? {};
      return [shape, [...((await read?.()) ?? [])], arrays.get("empty")?.shape, await arrays.get("empty")?.read()];
    });
    expect(found).toEqual([[], [7], [0, 3], new Uint8Array(0)]);
  });

  it.each([
    ["complex", /complex is of dtype <c8; it must be of bool, whole numbers/],
    ["text", /text is of dtype <U1/],
    ["structured", /structured has a structured dtype/],
  ])("refuses %s numbers", async (name, message) => {
    await expect(readNpz(WRITTEN, [name], async () => 0)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(message),
    });
  });
});

describe("a damaged .npz file", () => {
  let folder: string;
  beforeEach(async () => {
    folder = temporaryFolder("npz");
  });

  it("gives its values or E_DATA, whatever byte is another", async () => {
    const { readFile } = await import("node:fs/promises");
    const whole = await readFile(WRITTEN);
    const path = join(folder, "damaged.npz");
    const names = ["<i4C", ">f2F", "<u8C"];
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), async (at, value, cut) => {
        const bytes = Buffer.from(cut ? whole.subarray(0, at) : whole);
        if (!cut) bytes[at] = value;
        await writeFile(path, bytes);
        const reading = readNpz(path, names, async (arrays) => {
          for (const array of arrays.values()) await array.read();
        });
        await reading.catch((error: unknown) => {
          expect(error).toBeInstanceOf(BatchCamError);
          expect((error as BatchCamError).code).toBe("E_DATA");
        });
      }),
      { numRuns: 150 },
    );
  });
});
