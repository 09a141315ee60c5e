import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { BatchCamError } from "../../errors.ts";
import { type IdxData, parseIdx, readIdx } from "./idx.ts";

const TYPES = [
  { code: 0x08, make: Uint8Array, set: "setUint8" },
  { code: 0x09, make: Int8Array, set: "setInt8" },
  { code: 0x0b, make: Int16Array, set: "setInt16" },
  { code: 0x0c, make: Int32Array, set: "setInt32" },
  { code: 0x0d, make: Float32Array, set: "setFloat32" },
  { code: 0x0e, make: Float64Array, set: "setFloat64" },
] as const;

let folder: string;
beforeAll(async () => {
  folder = temporaryFolder("idx");
});

describe("parseIdx", () => {
  it("reads back what was written, for every element type and shape", () => {
    const cases = fc.record({
      type: fc.constantFrom(...TYPES),
      shape: fc.array(fc.nat({ max: 5 }), { maxLength: 4 }),
      seed: fc.uint8Array({ minLength: 8, maxLength: 64 }),
    });
    fc.assert(
      fc.property(cases, ({ type, shape, seed }) => {
        const data = values(type, shape, seed);
        const read = parseIdx(encode(type, shape, data), "memory");
        expect(read.shape).toEqual(shape);
        expect(read.data).toEqual(data);
      }),
    );
  });

  it("reads an array that starts at an odd offset of its buffer", () => {
    const bytes = encode(TYPES[5], [2], new Float64Array([1.5, -2]));
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect(parseIdx(shifted.subarray(1), "memory").data).toEqual(new Float64Array([1.5, -2]));
  });

  it("turns any bytes into an array or a BatchCamError", () => {
    const headers = fc.tuple(
      fc.constantFrom(0, 0, 0, 1),
      fc.constantFrom(0, 0, 0, 9),
      fc.constantFrom(8, 9, 11, 12, 13, 14, 0, 10, 255),
      fc.nat({ max: 6 }),
    );
    const plausible = fc
      .tuple(headers, fc.uint8Array({ maxLength: 40 }))
      .map(([head, rest]) => new Uint8Array([...head, ...rest]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), plausible), (bytes) => {
        const outcome = attempt(() => parseIdx(bytes, "fuzz.idx"));
        if (outcome instanceof BatchCamError) expect(outcome.message).toMatch(/^readIdx: fuzz\.idx: /);
        else expect(outcome).toHaveProperty("data");
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ["an empty file", [], /expected an IDX header of at least 4 bytes, got 0/],
    ["a cut magic number", [0, 0, 8], /at least 4 bytes, got 3/],
    ["a wrong magic number", [0x89, 0x50, 0x4e, 0x47], /expected an IDX magic number .*, got 89504e47/],
    ["an unknown element type", [0, 0, 0x0a, 1, 0, 0, 0, 0], /got 00000a01/],
    ["a gzip archive", [0x1f, 0x8b, 8, 0], /got a gzip archive/],
    ["a cut header", [0, 0, 8, 3, 0, 0, 0, 1], /expected a header of 16 bytes \(3 dimensions\), got a file of 8/],
    ["cut elements", [0, 0, 8, 1, 0, 0, 0, 4, 1, 2], /expected 12 bytes \(4 of uint8\), got 10: .*truncated/],
    ["bytes after the end", [0, 0, 8, 1, 0, 0, 0, 1, 1, 2], /expected 9 bytes .*, got 10: .*extra bytes/],
    ["elements cut inside a number", [0, 0, 0x0b, 1, 0, 0, 0, 1, 1], /expected 10 bytes .*, got 9/],
  ])("refuses %s and says what it found", (_, bytes, message) => {
    const error = attempt(() => parseIdx(new Uint8Array(bytes), "x.idx"));
    expect(error).toMatchObject({ code: "E_DATA", message: expect.stringMatching(message) });
    expect(error).toMatchObject({ message: expect.stringContaining("get the file again") });
  });

  it.each([4, 255])("refuses a header of %i dimensions whose product overflows", (rank) => {
    const bytes = new Uint8Array(4 + 4 * rank).fill(0xff);
    bytes.set([0, 0, 0x0e, rank]);
    expect(attempt(() => parseIdx(bytes, "x.idx"))).toMatchObject({ code: "E_DATA" });
  });

  it("reads huge dimensions with an empty one as a tensor without elements", () => {
    const bytes = new Uint8Array([0, 0, 8, 2, 255, 255, 255, 255, 0, 0, 0, 0]);
    expect(parseIdx(bytes, "x.idx")).toEqual({ shape: [2 ** 32 - 1, 0], data: new Uint8Array(0) });
  });
});

describe("readIdx", () => {
  it("reads a file", async () => {
    const path = join(folder, "good.idx");
    await writeFile(path, encode(TYPES[3], [2, 1], new Int32Array([-7, 2 ** 30])));
    expect(await readIdx(path)).toEqual({ shape: [2, 1], data: new Int32Array([-7, 2 ** 30]) });
  });

  it("names a file that does not exist", async () => {
    const path = join(folder, "absent.idx");
    await expect(readIdx(path)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/absent\.idx: cannot be read \(ENOENT/),
    });
  });

  it("refuses a folder and a named pipe without waiting for it", async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    for (const path of [folder, pipe]) {
      await expect(readIdx(path)).rejects.toMatchObject({
        code: "E_DATA",
        message: expect.stringContaining("expected a regular file"),
      });
    }
  });

  it("names an empty file", async () => {
    const path = join(folder, "empty.idx");
    await writeFile(path, "");
    await expect(readIdx(path)).rejects.toMatchObject({ message: expect.stringContaining("empty.idx") });
  });
});

type ElementType = (typeof TYPES)[number];

function values(type: ElementType, shape: number[], seed: Uint8Array): IdxData {
  const count = shape.reduce((product, size) => product * size, 1);
  return new type.make(Array.from({ length: count }, (_, i) => (seed[i % seed.length] as number) - 100.5));
}

function encode(type: ElementType, shape: number[], data: IdxData): Uint8Array {
  const start = 4 + 4 * shape.length;
  const bytes = new Uint8Array(start + data.byteLength);
  const view = new DataView(bytes.buffer);
  bytes.set([0, 0, type.code, shape.length]);
  shape.forEach((size, i) => {
    view.setUint32(4 + 4 * i, size);
  });
  data.forEach((value, i) => {
    view[type.set](start + i * data.BYTES_PER_ELEMENT, value);
  });
  return bytes;
}

function attempt(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}
