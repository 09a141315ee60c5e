import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { encodeNpy, type NpyData } from "./npy.ts";

/** Reads a file strictly by the description of the format. */
function parse(file: Uint8Array): { descr: string; shape: number[]; payload: Uint8Array } {
  const bytes = Buffer.from(file);
  expect(bytes.toString("latin1", 0, 8)).toBe("\x93NUMPY\x01\x00");
  const start = 10 + bytes.readUInt16LE(8);
  expect(start % 64).toBe(0);
  const header = bytes.toString("latin1", 10, start);
  const form = /^\{'descr': '([<>|][fiu]\d)', 'fortran_order': False, 'shape': \((|\d+,|\d+(?:, \d+)+)\), \} *\n$/;
  const [, descr = "", tuple = ""] = form.exec(header) ?? expect.unreachable(`no header: ${header}`);
  return { descr, shape: tuple.split(",").filter(Boolean).map(Number), payload: file.slice(start) };
}

const ARRAYS: [string, NpyData][] = [
  ["<f4", Float32Array.of(0, -1.5, Number.NaN, Infinity, 1e-40, 3)],
  ["<f8", Float64Array.of(0, Math.PI, -1, 2, 3, 4)],
  ["<i8", BigInt64Array.of(0n, -1n, 2n ** 62n, 3n, 4n, 5n)],
  ["<u8", BigUint64Array.of(0n, 2n ** 63n, 2n, 3n, 4n, 5n)],
  ["<i4", Int32Array.of(0, -1, 2, 3, 4, 5)],
  ["<u2", Uint16Array.of(0, 65535, 2, 3, 4, 5)],
  ["|u1", Uint8Array.of(0, 255, 2, 3, 4, 5)],
  ["|i1", Int8Array.of(0, -128, 2, 3, 4, 5)],
];

describe("encodeNpy", () => {
  it.each(ARRAYS)("writes %s", (descr, data) => {
    const file = parse(encodeNpy(data, [2, 3]));
    expect(file).toMatchObject({ descr, shape: [2, 3] });
    expect(file.payload).toEqual(new Uint8Array(data.buffer));
  });

  it.each([[[]], [[1]], [[1, 1]], [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]]])(
    "writes shape %j",
    (shape) => {
      expect(parse(encodeNpy(Float32Array.of(7), shape)).shape).toEqual(shape);
    },
  );

  it("writes an empty array", () => {
    expect(parse(encodeNpy(new Float32Array(0), [0, 28, 28]))).toMatchObject({
      shape: [0, 28, 28],
      payload: new Uint8Array(0),
    });
  });

  it("writes the part of a buffer that an array views, and keeps no hold of it", () => {
    const whole = Float32Array.of(1, 2, 3, 4);
    const file = encodeNpy(whole.subarray(1, 3), [2]);
    whole.fill(9);
    expect(parse(file).payload).toEqual(new Uint8Array(Float32Array.of(2, 3).buffer));
  });

  it("is read by NumPy with the same type, shape and values", ({ skip }) => {
    if (spawnSync("python3", ["-c", "import numpy"]).status !== 0) skip("python3 has no numpy");
    const folder = temporaryFolder("npy");
    ARRAYS.forEach(([, data], index) => {
      writeFileSync(join(folder, `${index}.npy`), encodeNpy(data, [3, 1, 2]));
    });
    const program = `import numpy, sys
for i in range(${ARRAYS.length}):
    a = numpy.load(f"{sys.argv[1]}/{i}.npy"); print(a.dtype.str, a.shape, a.tobytes().hex())`;
    const { stdout } = spawnSync("python3", ["-c", program, folder], { encoding: "utf8" });
    const expected = ARRAYS.map(([descr, data]) => `${descr} (3, 1, 2) ${Buffer.from(data.buffer).toString("hex")}`);
    expect(stdout.trim().split("\n")).toEqual(expected);
  });

  it.each<[string, unknown, unknown, string, string]>([
    ["a shape of another size", Float32Array.of(1, 2), [3], "E_SHAPE", "must hold 3 elements for shape [3], got 2"],
    ["a plain list", [1, 2], [2], "E_ARGUMENT", "data: expected an array of numbers such as a Float32Array"],
    ["bytes without a type", new ArrayBuffer(2), [2], "E_ARGUMENT", "data: expected an array of numbers"],
    ["clamped bytes, whose type NumPy lacks", Uint8ClampedArray.of(1), [1], "E_ARGUMENT", "got Uint8ClampedArray"],
    ["a size that is not whole", Float32Array.of(1), [0.5], "E_ARGUMENT", "shape[0] must be an integer >= 0, got 0.5"],
    ["a negative size", Float32Array.of(1), [-1], "E_ARGUMENT", "shape[0] must be an integer >= 0, got -1"],
    ["a shape that is a number", Float32Array.of(1), 1, "E_ARGUMENT", "shape: expected a list of sizes, got 1"],
  ])("refuses %s", (_, data, shape, code, message) => {
    expect(() => encodeNpy(data as NpyData, shape as number[])).toThrow(
      expect.objectContaining({ name: "BatchCamError", code, message: expect.stringContaining(message) }),
    );
  });
});
