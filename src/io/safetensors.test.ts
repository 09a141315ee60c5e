import { execFileSync } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { BatchCamError } from "../errors.ts";
import { tidy } from "../tensor/core.ts";
import { arange, empty, rand, tensor, zeros } from "../tensor/create.ts";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { memory } from "../tensor/runtime.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { loadSafetensors, readSafetensorsMetadata, saveSafetensors } from "./safetensors.ts";
import { readBytes } from "./tensor-file.ts";

let folder: string;
let path: string;
let live: number;
beforeAll(async () => {
  folder = temporaryFolder("safetensors");
});
beforeEach(async () => {
  live = memory().liveTensors;
  path = join(temporaryFolder("case"), "file.safetensors");
});
afterEach(() => expect(memory().liveTensors).toBe(live));

const bytesOf = (value: Tensor) => {
  const bytes = new Uint8Array(value.numel * DTYPES[value.dtype].bytes);
  readBytes(value, 0, bytes);
  return bytes;
};
const free = (tensors: ReadonlyMap<string, Tensor>) => {
  for (const value of tensors.values()) value.dispose();
};

/** True if the file is loaded, false if it is refused with E_DATA. Any other error fails the test. */
async function loadsOrRefuses(): Promise<boolean> {
  try {
    free(await loadSafetensors(path));
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(BatchCamError);
    expect((error as BatchCamError).code).toBe("E_DATA");
    return false;
  }
}

describe("saveSafetensors and loadSafetensors", () => {
  it.each(Object.keys(DTYPES) as DType[])("keep every bit of %s", async (dtype) => {
    const tensors = tidy(
      () =>
        new Map([
          ["matrix", arange(6).reshape([2, 3]).to(dtype)],
          ["scalar", tensor(1).to(dtype)],
          ["empty", zeros([2, 0, 3], { dtype })],
        ]),
    );
    await saveSafetensors(path, tensors);
    const read = await loadSafetensors(path);
    expect([...read.keys()].toSorted()).toEqual(["empty", "matrix", "scalar"]);
    for (const [name, value] of read) {
      const saved = tensors.get(name) as Tensor;
      expect([value.dtype, value.shape]).toEqual([saved.dtype, saved.shape]);
      expect(bytesOf(value)).toEqual(bytesOf(saved));
    }
    free(read);
    free(tensors);
  });

  it("keep special floats: NaN payloads, infinities, negative zero, subnormals", async () => {
    const values = Float32Array.of(Number.NaN, Infinity, -Infinity, -0, 1e-45);
    new Uint32Array(values.buffer)[0] = 0x7fc12345;
    const saved = new Map([["x", tensor(values)]]);
    await saveSafetensors(path, saved);
    const read = await loadSafetensors(path);
    expect(bytesOf(read.get("x") as Tensor)).toEqual(new Uint8Array(values.buffer));
    free(read);
    free(saved);
  });

  it("write views, transposed and expanded tensors as what they show", async () => {
    const saved = tidy(() => {
      const base = arange(6).reshape([2, 3]);
      return new Map([
        ["transposed", base.transpose(0, 1)],
        ["row", base.select(0, 1)],
        ["expanded", base.narrow(1, 0, 1).expand([2, 2])],
      ]);
    });
    await saveSafetensors(path, saved);
    const read = await loadSafetensors(path);
    for (const [name, value] of read) expect(value).toBeAllclose(saved.get(name) as Tensor, { rtol: 0, atol: 0 });
    free(read);
    free(saved);
  });

  it("stream tensors that are larger than a chunk", async () => {
    const saved = new Map([
      ["large", rand([3_000_001])],
      ["small", tensor([7n])],
    ]);
    await saveSafetensors(path, saved);
    const read = await loadSafetensors(path);
    expect((read.get("large") as Tensor).equal(saved.get("large") as Tensor)).toBe(true);
    expect((read.get("small") as Tensor).item()).toBe(7);
    free(read);
    free(saved);
  });

  it("keep metadata, which can be read alone", async () => {
    const metadata = { format: "pt", "naïve \u{1f600}": 'quotes " and \\ and \n', ["__proto__"]: "plain" };
    await saveSafetensors(path, new Map(), metadata);
    const read = await readSafetensorsMetadata(path);
    expect(Object.entries(read).toSorted()).toEqual(Object.entries(metadata).toSorted());
    await saveSafetensors(path, new Map());
    expect(await readSafetensorsMetadata(path)).toEqual({});
    expect((await loadSafetensors(path)).size).toBe(0);
  });

  it("write the same bytes for the same tensors in any order", async () => {
    const saved = new Map([
      ["b", zeros([2])],
      ["a", zeros([3])],
    ]);
    await saveSafetensors(path, saved, { x: "1", y: "2" });
    const first = await readFile(path);
    await saveSafetensors(path, new Map([...saved].reverse()), { y: "2", x: "1" });
    expect(await readFile(path)).toEqual(first);
    free(saved);
  });
});

describe("loadSafetensors", () => {
  const sample = async () => {
    const saved = tidy(
      () =>
        new Map([
          ["w", tensor([1, 2, 3])],
          ["flag", tensor([true, false])],
          ["half", tensor([0.5]).to("bfloat16")],
        ]),
    );
    await saveSafetensors(path, saved, { k: "v" });
    free(saved);
    return readFile(path);
  };

  it("turns any damage into E_DATA or tensors, and leaks none", async () => {
    const valid = await sample();
    const damage = fc.array(fc.tuple(fc.nat({ max: valid.length - 1 }), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 8,
    });
    const length = fc.option(fc.nat({ max: valid.length + 16 }));
    await fc.assert(
      fc.asyncProperty(damage, length, async (changes, newLength) => {
        const bytes = new Uint8Array(newLength ?? valid.length);
        bytes.set(valid.subarray(0, bytes.length));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        await writeFile(path, bytes);
        await loadsOrRefuses();
        expect(memory().liveTensors).toBe(live);
      }),
      { numRuns: 500 },
    );
  });

  it("turns any bytes into E_DATA or tensors", async () => {
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.json().map((json) => {
        const text = new TextEncoder().encode(json);
        return new Uint8Array([text.length & 255, text.length >> 8, 0, 0, 0, 0, 0, 0, ...text]);
      }),
    );
    await fc.assert(
      fc.asyncProperty(bodies, async (bytes) => {
        await writeFile(path, bytes);
        await loadsOrRefuses();
      }),
      { numRuns: 300 },
    );
  });

  it("refuses the file cut at any byte", async () => {
    const valid = await sample();
    for (let length = 0; length < valid.length; length++) {
      await writeFile(path, valid.subarray(0, length));
      expect(await loadsOrRefuses()).toBe(false);
    }
  });

  const withLength = (length: bigint) => {
    const bytes = Buffer.alloc(64);
    bytes.writeBigUInt64LE(length);
    return bytes;
  };

  it.each([
    ["is empty", new Uint8Array(0), /expected at least 8 bytes, got 0/],
    ["claims a header beyond its end", withLength(57n), /expected a header of 57 bytes, got a file of 64/],
    ["claims a header of over 100 MB", withLength(100_000_001n), /at most 100000000 bytes, got 100000001/],
    ["claims a header of 2^64 - 1 bytes", withLength(2n ** 64n - 1n), /at most 100000000 bytes/],
    ["has no header", withLength(0n), /expected "{" at character 0 of the header, got its end/],
  ])("refuses a file that %s", async (_, bytes, message) => {
    await writeFile(path, bytes);
    for (const read of [loadSafetensors, readSafetensorsMetadata]) {
      await expect(read(path)).rejects.toMatchObject({ code: "E_DATA", message: expect.stringMatching(message) });
    }
    await expect(loadSafetensors(path)).rejects.toThrow(`loadSafetensors: ${path}: `);
  });

  it("refuses a boolean that is neither 0 nor 1", async () => {
    const bytes = await sample();
    bytes[bytes.length - 1] = 2;
    await writeFile(path, bytes);
    await expect(loadSafetensors(path)).rejects.toThrow(/tensor "flag": expected BOOL bytes of 0 or 1/);
  });

  it("tells a missing file, a folder and a named pipe apart from a damaged one", async () => {
    await expect(loadSafetensors(path)).rejects.toMatchObject({
      code: "E_IO",
      message: expect.stringMatching(/^loadSafetensors: cannot read .*ENOENT/),
    });
    await expect(loadSafetensors(folder)).rejects.toMatchObject({ code: "E_DATA" });
    execFileSync("mkfifo", [path]);
    await expect(loadSafetensors(path)).rejects.toThrow(/expected a regular file/);
  });
});

describe("saveSafetensors", () => {
  const siblings = async () => (await readdir(join(path, ".."))).toSorted();

  it("leaves the old file and no other when a tensor cannot be saved", async () => {
    await writeFile(path, "old");
    const gone = zeros([1]);
    gone.dispose();
    const ok = zeros([2]);
    await expect(
      saveSafetensors(
        path,
        new Map([
          ["ok", ok],
          ["gone", gone],
        ]),
      ),
    ).rejects.toMatchObject({
      code: "E_DISPOSED",
      message: expect.stringContaining('saveSafetensors: tensor "gone" is disposed'),
    });
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await siblings()).toEqual(["file.safetensors"]);
    ok.dispose();
  });

  it("leaves the old file and no other when a tensor is disposed while it is written", async () => {
    await writeFile(path, "old");
    const tensors = new Map(["a", "b"].map((name) => [name, empty([2_000_000])]));
    const saving = saveSafetensors(path, tensors);
    tensors.get("b")?.dispose();
    await expect(saving).rejects.toMatchObject({ code: "E_DISPOSED" });
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await siblings()).toEqual(["file.safetensors"]);
    free(tensors);
  });

  it("refuses a value that is not a tensor, and metadata that is not text", async () => {
    await expect(saveSafetensors(path, new Map([["x", 3 as unknown as Tensor]]))).rejects.toMatchObject({
      code: "E_ARGUMENT",
      message: expect.stringContaining('tensor "x" must be a Tensor, got 3'),
    });
    await expect(saveSafetensors(path, new Map(), { n: null as unknown as string })).rejects.toThrow(
      /must be a string/,
    );
    expect(await siblings()).toEqual([]);
  });

  it("reports a path that cannot be written, and leaves no file", async () => {
    await writeFile(path, "a file");
    await expect(saveSafetensors(join(path, "x"), new Map())).rejects.toMatchObject({ code: "E_IO" });
    await expect(saveSafetensors(join(path, ".."), new Map())).rejects.toMatchObject({ code: "E_IO" });
    expect(await siblings()).toEqual(["file.safetensors"]);
  });

  it("leaves one whole file when two saves of the same path overlap", async () => {
    const tensors = [zeros([2_000_000]), zeros([10])];
    await Promise.all(tensors.map((value) => saveSafetensors(path, new Map([["x", value]]))));
    const read = await loadSafetensors(path);
    expect([10, 2_000_000]).toContain((read.get("x") as Tensor).numel);
    expect(await siblings()).toEqual(["file.safetensors"]);
    free(read);
    for (const value of tensors) value.dispose();
  });
});
