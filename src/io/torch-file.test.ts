import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import {
  bytesOf,
  type PickledTensor,
  pickle,
  pickledTensor,
  text,
  torchArchive,
  type ZipPart,
  zipOf,
} from "../../test/support/torch-archive.ts";
import { BatchCamError } from "../errors.ts";
import { tidy } from "../tensor/core.ts";
import { arange, tensor } from "../tensor/create.ts";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { memory } from "../tensor/runtime.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { readBytes } from "./tensor-file.ts";
import { type LoadTorchOptions, loadTorchFile } from "./torch-file.ts";

const FIXTURES = fileURLToPath(new URL("../../test/fixtures/torch-files/", import.meta.url));

let folder: string;
let path: string;
let live: number;
beforeAll(async () => {
  folder = temporaryFolder("torch-file");
  path = join(folder, "file.pth");
});
beforeEach(() => {
  live = memory().liveTensors;
});
afterEach(() => expect(memory().liveTensors).toBe(live));

const free = (tensors: ReadonlyMap<string, Tensor>) => {
  for (const value of tensors.values()) value.dispose();
};
/** Calls `use` with the tensors of a fixture, and frees them. */
async function load(name: string, use: (tensors: ReadonlyMap<string, Tensor>) => void, options?: LoadTorchOptions) {
  const tensors = await loadTorchFile(join(FIXTURES, name), options);
  try {
    tidy(() => use(tensors));
  } finally {
    free(tensors);
  }
}
const numbers = (tensors: ReadonlyMap<string, Tensor>, name: string) => {
  const value = tensors.get(name) as Tensor;
  return [value.shape, Array.from(value.data() as ArrayLike<number | bigint>, Number)];
};
const fixtureBytes = (name: string) => readFile(join(FIXTURES, name));
/** The message of loading these bytes, which must fail with E_DATA. */
async function refusal(bytes: Uint8Array, options?: LoadTorchOptions): Promise<string> {
  await writeFile(path, bytes);
  const error = await loadTorchFile(path, options).then(free, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(BatchCamError);
  expect((error as BatchCamError).code).toBe("E_DATA");
  return (error as BatchCamError).message;
}
/** A file with one tensor "w" that uses a storage of these bytes (two float32 by default). */
const fileOf = (described: PickledTensor, storage: Uint8Array = new Uint8Array(new Float32Array([3, 4]).buffer)) =>
  torchArchive(pickle("}", text("w"), pickledTensor(described), "s"), { 0: storage });

describe("loadTorchFile, on files of torch.save", () => {
  // The same formula as in scripts/make-torch-files.py.
  const rule = (shape: number[], dtype: DType) => {
    const values = Array.from(
      { length: shape.reduce((product, size) => product * size, 1) },
      (_, i) => ((3 * i) % 7) - 2,
    );
    const kept = dtype === "uint8" ? values.map(Math.abs) : values;
    return tensor(Float64Array.from(kept), { shape }).to(dtype);
  };
  const bytesIn = (value: Tensor) => {
    const bytes = new Uint8Array(value.nbytes);
    readBytes(value, 0, bytes);
    return bytes;
  };

  it.each(Object.keys(DTYPES) as DType[])(
    "keeps every bit of %s: a matrix, a scalar, and tensors without elements",
    (dtype) =>
      load("dtypes.pth", (tensors) => {
        expect(tensors.size).toBe(40);
        for (const [name, shape] of Object.entries({ scalar: [], matrix: [2, 3], empty: [0], hollow: [2, 0, 3] })) {
          const value = tensors.get(`${dtype}.${name}`) as Tensor;
          expect([value.dtype, value.shape]).toEqual([dtype, shape]);
          expect(bytesIn(value)).toEqual(bytesIn(rule(shape, dtype)));
        }
      }),
  );

  it("reads views with offsets and strides of one storage as what they show", () =>
    load("views.pth", (tensors) => {
      const base = arange(24).reshape([4, 6]);
      const expected: Record<string, Tensor> = {
        base,
        row: base.select(0, 2),
        transposed: base.t(),
        every_second: base.slice(0, 1).slice(1, 0, 6, 2),
        element: base.select(0, 3).select(0, 5),
        diagonal: tensor([0, 7, 14, 21]),
        overlapping: tensor([
          [2, 3, 4],
          [3, 4, 5],
          [4, 5, 6],
        ]),
        channels_last: arange(24).reshape([1, 2, 3, 4]),
        expanded: tensor([
          [1, 1, 1],
          [2, 2, 2],
        ]),
        same: base,
      };
      expect([...tensors.keys()]).toEqual(Object.keys(expected));
      for (const [name, value] of tensors) {
        expect(value.isContiguous).toBe(true);
        expect(numbers(tensors, name)).toEqual([value.shape, Array.from((expected[name] as Tensor).data(), Number)]);
        expect(value.shape).toEqual((expected[name] as Tensor).shape);
      }
    }));

  it("gives each name memory of its own, also where the file shares a storage", () =>
    load("views.pth", (tensors) => {
      (tensors.get("base") as Tensor).fill_(9);
      expect(numbers(tensors, "same")[1]).toEqual(Array.from({ length: 24 }, (_, i) => i));
    }));

  it("unwraps parameters, with attributes of their own too, and leaves gradients out", () =>
    load("parameters.pth", (tensors) => {
      expect([...tensors.keys()]).toEqual(["weight", "marked"]);
      expect(numbers(tensors, "weight")).toEqual([[2], [1, 2]]);
      expect(numbers(tensors, "marked")).toEqual([[1], [3]]);
      for (const value of tensors.values()) expect(value.requiresGrad).toBe(false);
    }));

  it("keeps names that objects treat specially", () =>
    load("proto.pth", (tensors) => {
      expect([...tensors.keys()]).toEqual(["__proto__", "constructor", "naïve \u{1f600}"]);
      expect(numbers(tensors, "__proto__")).toEqual([[1], [1]]);
    }));

  const MODULE = [
    "0.weight",
    "0.bias",
    "1.weight",
    "1.bias",
    "1.running_mean",
    "1.running_var",
    "1.num_batches_tracked",
  ];

  it.each(["module.pth", "model.pth"])("reads a module's state dict, plain and under its usual key (%s)", (name) =>
    load(name, (tensors) => {
      expect([...tensors.keys()]).toEqual(MODULE);
      expect((tensors.get("0.weight") as Tensor).shape).toEqual([2, 1, 3, 3]);
      expect(numbers(tensors, "1.running_var")).toEqual([[2], [1, 1]]);
      expect((tensors.get("1.num_batches_tracked") as Tensor).dtype).toBe("int64");
    }),
  );

  it.each(["nested.pth", "nested-protocol3.pth", "nested-protocol5.pth"])(
    "reads a checkpoint with optimizer, arguments and averaged weights, by the key that is asked for (%s)",
    async (name) => {
      await load(name, (tensors) => {
        expect([...tensors.keys()]).toEqual(MODULE);
        expect(numbers(tensors, "1.num_batches_tracked")).toEqual([[], [1]]);
      });
      await load(name, (ema) => expect(numbers(ema, "1.num_batches_tracked")).toEqual([[], [2]]), {
        key: "state_dict_ema",
      });
    },
  );

  it.each(["legacy.pth", "beside-protocol2.pth.tar", "beside-protocol4.pth.tar", "legacy-beside.pth"])(
    "reads %s: the format before torch 1.6, and weights among objects of many classes, which are passed over",
    (name) =>
      load(name, (tensors) => {
        expect([...tensors.keys()]).toEqual(MODULE);
        expect(numbers(tensors, "1.running_var")).toEqual([[2], [1, 1]]);
      }),
  );

  it("reads from the format before torch 1.6 what it reads from the archive", async () => {
    const now = await loadTorchFile(join(FIXTURES, "views.pth"));
    const before = await loadTorchFile(join(FIXTURES, "legacy-views.pth"));
    expect([...before.keys()]).toEqual([...now.keys()]);
    for (const name of now.keys()) expect(numbers(before, name)).toEqual(numbers(now, name));
    free(now);
    free(before);
  });

  it("reads tensors of classes of their own, without their attributes", () =>
    load("tagged.PT", (tensors) => expect(numbers(tensors, "tagged")).toEqual([[2], [1, 1]])));

  it.each([
    [undefined, 0],
    ["net", 0],
    ["net.module", 0],
    ["ema", 1],
    ["ema.module", 1],
  ])("reads a state dict within a dict, for the key %s", (key, batches) =>
    load("keyed.ckpt", (tensors) => expect(numbers(tensors, "1.num_batches_tracked")).toEqual([[], [batches]]), {
      ...(key === undefined ? {} : { key }),
    }),
  );

  it("takes a key for the beginning of names where it is none of its own, and cuts it off", async () => {
    await load("module.pth", (tensors) => expect([...tensors.keys()]).toEqual(["weight", "bias"]), { key: "0" });
    await load("nested.pth", (tensors) => expect([...tensors.keys()]).toHaveLength(5), { key: "state_dict.1" });
    await load("nested.pth", (tensors) => expect([...tensors.keys()]).toHaveLength(5), { key: "1" });
  });

  it.each<[string, LoadTorchOptions, RegExp]>([
    [
      "nested.pth",
      { key: "model" },
      /dict of tensors at the key "model", got the keys "epoch" \(a number\), .*option key$/,
    ],
    ["nested.pth", { key: "epoch" }, /at the key "epoch", got the keys/],
    ["nested.pth", { key: "__proto__" }, /at the key "__proto__", got the keys/],
    ["nested.pth", { key: "optimizer" }, /expected tensors, got a dict at "state"/],
    [
      "none-in-it.pth",
      {},
      /in the file, at "state_dict" or at "model", got the keys "w" \(a tensor\), "epoch" \(a number\)/,
    ],
    ["module.pth", { key: "state_dict" }, /at the key "state_dict", got the keys "0.weight" \(a tensor\)/],
    ["tensor.pth", {}, /expected a dict, got a tensor; save a state dict/],
    [
      "complex.pth",
      {},
      /tensor "w" has a dtype that this engine does not support \(torch.ComplexFloatStorage\); convert it/,
    ],
    ["uint16.pth", {}, /tensor "w" has a dtype that this engine does not support \(torch.uint16\); convert it/],
    ["conjugate.pth", {}, /tensor "w" has a conjugate or negative view/],
    ["tagged.PT", { key: "epoch" }, /at the key "epoch", got the keys "tagged" \(a tensor\), "plain" \(a tensor\)/],
    [
      "whole.pth",
      {},
      /a whole network pickled by torch.save\(model\) \(torch.nn.modules.container.Sequential\).*torch.load\('\S+', map_location='cpu', weights_only=False\).state_dict\(\), '/,
    ],
    ["whole-model.pth", {}, /a whole network .*weights_only=False\)\['model'\].state_dict\(\), '/],
    ["whole-model.pth", { key: "model" }, /a whole network /],
    [
      "legacy-whole.pth",
      {},
      /a whole network pickled by torch.save\(model\) \(torch.nn.modules.container.Sequential\)/,
    ],
    ["torchscript.pt", {}, /got a TorchScript archive, which holds a program; .*torch.jit.load/],
  ])("says what %s holds instead of what %j asks for", async (name, options, message) => {
    const text = await refusal(await fixtureBytes(name), options);
    expect(text).toMatch(message);
    expect(text).toContain(`loadTorchFile: ${path}: `);
  });

  it("refuses a key that is not a string, and tells a missing file and a folder from a damaged one", async () => {
    await expect(loadTorchFile(path, { key: 3 as unknown as string })).rejects.toMatchObject({ code: "E_ARGUMENT" });
    await expect(loadTorchFile(join(folder, "none"))).rejects.toMatchObject({ code: "E_IO" });
    await expect(loadTorchFile(folder)).rejects.toMatchObject({ code: "E_DATA" });
  });
});

describe("loadTorchFile, on hostile files", () => {
  const MARKER = "torch-file-was-executed";

  it.each<[string, RegExp]>([
    [
      "os-system",
      /asks for "posix.system".*nothing was run; if you trust the file, convert it: python -c "import torch,/,
    ],
    ["nested-reduce", /asks for "__builtin__.getattr"/],
    ["builtins-eval", /asks for "builtins.eval"/],
    ["copyreg", /asks for "copy_reg._reconstructor"/],
    ["stack-global", /asks for "os.system"/],
    ["stack-global-of-numbers", /names a global with values that are not strings/],
    ["stack-global-of-reduced", /names a global with values that are not strings/],
    ["torch-hub-load", /asks for "torch.hub.load"/],
    ["unknown-opcode", /the opcode 0xfe at byte 2/],
    ["inst", /the opcode 0x69 at byte/],
    ["obj", /asks for "os.system"/],
    ["extension", /the opcode 0x82 at byte 2/],
    ["text-persistent-id", /the opcode 0x50 at byte 2/],
    ["build-with-setstate", /asks for "os.system"/],
  ])("runs nothing of %s", async (name, message) => {
    expect(await refusal(await fixtureBytes(`hostile-${name}.pth`))).toMatch(message);
    for (const place of [".", folder, FIXTURES]) expect(existsSync(join(place, MARKER))).toBe(false);
  });

  it("has a case for every hostile fixture", async () => {
    expect((await readdir(FIXTURES)).filter((name) => name.startsWith("hostile-"))).toHaveLength(14);
  });

  it.each<[string, PickledTensor, RegExp]>([
    ["more elements than its storage", { shape: [3] }, /\[3\] uses elements 0 to 3 of a storage of 2/],
    ["an offset beyond its storage", { offset: 1 }, /uses elements 1 to 3 of a storage of 2/],
    ["strides beyond its storage", { strides: [2] }, /uses elements 0 to 3/],
    ["nothing, beyond its storage", { shape: [0], offset: 3 }, /uses elements 3 to 3/],
    [
      "a storage that claims more",
      { elements: 3 },
      /storage "0": expected 12 bytes \(torch.FloatStorage of 3\), got 8/,
    ],
    ["a storage that claims 2^53", { elements: 2 ** 53 - 1 }, /storage "0": expected \d+ bytes/],
    ["a storage that claims 2^60", { elements: 2n ** 60n }, /persistent id/],
    ["a storage of -1", { elements: -1 }, /persistent id/],
    ["a storage of another type", { type: "DoubleStorage" }, /expected 16 bytes \(torch.DoubleStorage of 2\), got 8/],
    ["a storage that is a dtype", { type: "float32" }, /persistent id/],
    ["a storage that is not there", { key: "1" }, /storage "1": expected an entry data\/<key>/],
    ["a storage outside its folder", { key: "../data.pkl" }, /storage "..\/data.pkl": expected an entry/],
    ["a negative offset", { offset: -1 }, /expected an offset >= 0/],
    ["a negative size", { shape: [-1] }, /expected sizes >= 0/],
    ["a negative stride", { strides: [-1] }, /expected strides >= 0/],
    ["a stride too few", { shape: [1, 2] }, /expected 2 strides, got 1/],
    ["65 dimensions", { shape: Array(65).fill(1), strides: Array(65).fill(1) }, /at most 64 sizes, got 65/],
    ["2^80 elements", { shape: [2 ** 40, 2 ** 40], strides: [0, 0] }, /too large for any memory/],
    ["no elements of 2^80", { shape: [0, 2 ** 40, 2 ** 40], strides: [0, 0, 0] }, /too large for any memory/],
    ["a stride of 2^52", { strides: [2 ** 52] }, /too large for any memory/],
    [
      "one element 2^40 times",
      { shape: [2 ** 40], strides: [0] },
      /expected tensors of at most \d+ bytes in a file of \d+/,
    ],
  ])("allocates nothing for a tensor of %s", async (_, described, message) => {
    const before = memory().peakBytes;
    expect(await refusal(fileOf(described))).toMatch(message);
    expect(memory().peakBytes - before).toBeLessThan(2 ** 20);
  });

  it("bounds what many names make of one storage", async () => {
    const repeated = pickledTensor({ shape: [2 ** 20], strides: [0] });
    const items = Array.from({ length: 20 }, (_, i) => bytesOf(text(`w${i}`), repeated, "s"));
    expect(await refusal(torchArchive(pickle("}", ...items), { 0: new Uint8Array(8) }))).toMatch(
      /repeat the same elements/,
    );
  });

  it("refuses a boolean that is neither 0 nor 1, and frees what it has read", async () => {
    const bad = fileOf({ type: "BoolStorage" }, Uint8Array.of(1, 2));
    expect(await refusal(bad)).toMatch(/tensor "w": expected BOOL bytes of 0 or 1/);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["a tensor of no storage", pickle("ctorch._utils\n_rebuild_tensor_v2\n)R"), /expected a storage, got None/],
    ["a parameter of no tensor", pickle("ctorch._utils\n_rebuild_parameter\n)R"), /a parameter: expected a tensor/],
    [
      "a state dict that an unknown class holds",
      pickle("cmine\nState\n)R"),
      /expected a dict, got an object of mine.State/,
    ],
    [
      "a tensor that an unknown function makes",
      pickle("}", text("w"), "cmine\nload\n)Rs"),
      /"w" \(an object of mine.load\)/,
    ],
    ["a dict of arguments", pickle("ccollections\nOrderedDict\n]", 0x85, "R"), /OrderedDict from arguments/],
    ["names that are numbers", pickle("}K", 1, pickledTensor(), "s"), /expected names that are strings, got a number/],
    ["no keys", pickle("}", text("w"), "Ns"), /got the keys "w" \(None\)/],
  ])("refuses %s", async (_, bytes, message) => {
    expect(await refusal(torchArchive(bytes, { 0: new Uint8Array(8) }))).toMatch(message);
  });
});

describe("loadTorchFile, on choosing a state dict", () => {
  const storage = { 0: new Uint8Array(new Float32Array([3, 4]).buffer) };
  const dictOf = (entries: Record<string, Uint8Array>) =>
    bytesOf("}", ...Object.entries(entries).map(([name, value]) => bytesOf(text(name), value, "s")));
  const weights = dictOf({ w: pickledTensor() });
  const names = async (entries: Record<string, Uint8Array>, options?: LoadTorchOptions) => {
    await writeFile(path, torchArchive(pickle(dictOf(entries)), storage));
    const tensors = await loadTorchFile(path, options);
    free(tensors);
    return [...tensors.keys()];
  };

  it.each("state_dict model_state_dict model net network weights params state_dict_ema model_ema ema".split(" "))(
    "finds the weights at %s",
    async (key) => {
      expect(await names({ epoch: bytesOf("K", 3), [key]: weights })).toEqual(["w"]);
    },
  );

  it("takes what was trained before its average, whatever their order", async () => {
    const average = dictOf({ average: pickledTensor() });
    expect(await names({ ema: average, model: weights })).toEqual(["w"]);
    expect(await names({ model_ema: average, state_dict: weights })).toEqual(["w"]);
  });

  it("takes the one dict of tensors under another name, and asks where there are two", async () => {
    const other = bytesOf("K", 3);
    expect(await names({ epoch: other, generator: weights })).toEqual(["w"]);
    await expect(names({ generator: weights, critic: weights })).rejects.toThrow(
      /"generator" \(a dict\), "critic" \(a dict\); name the right entry by the option key/,
    );
    expect(await names({ generator: weights, critic: dictOf({ c: pickledTensor() }) }, { key: "critic" })).toEqual([
      "c",
    ]);
  });

  it("skips values that are not tensors within a state dict", async () => {
    const dict = dictOf({ w: pickledTensor(), v: pickledTensor(), version: bytesOf("K", 3) });
    expect(await names({ state_dict: dict })).toEqual(["w", "v"]);
  });

  it("reads a dict that contains itself", async () => {
    const loop = bytesOf("}q", 7, text("state_dict"), "h", 7, "s", text("epoch"), "K", 1, "s");
    expect(await refusal(torchArchive(pickle(loop), storage))).toMatch(/got the keys "state_dict" \(a dict\)/);
  });
});

describe("loadTorchFile, on damaged files before torch 1.6", () => {
  it("refuses one that is cut at any byte, or whose numbers are changed", async () => {
    const valid = await fixtureBytes("legacy.pth");
    for (let length = 15; length < valid.length; length += 7) await refusal(valid.subarray(0, length));
    const order = Buffer.from(valid);
    const at = order.indexOf("little_endian") + "little_endian".length;
    order[order.indexOf(0x88, at)] = 0x89;
    expect(await refusal(order)).toMatch(/little-endian order/);
  });
});

describe("loadTorchFile, on archives", () => {
  const empty = { name: "archive/data.pkl", data: pickle("}") };
  const zeros = new Uint8Array(1000);

  it("reads a dict without entries, and an archive of older torch without a byte order", async () => {
    await writeFile(path, zipOf([empty]));
    expect((await loadTorchFile(path)).size).toBe(0);
  });

  it.each<[string, ZipPart[], RegExp]>([
    [
      "a compressed entry",
      [empty, { name: "archive/data/0", data: deflateRawSync(zeros), method: 8 }],
      /"archive\/data\/0" is compressed/,
    ],
    [
      "entries at one place",
      [empty, { name: "archive/data/0", data: zeros }, { name: "archive/data/1", data: zeros, offset: 51 }],
      /overlaps the one before/,
    ],
    [
      "an entry that reaches beyond the file",
      [empty, { name: "archive/data/0", data: zeros, size: 2 ** 31 }],
      /expected 2147483648 bytes at/,
    ],
    [
      "an entry that reaches into the next",
      [empty, { name: "archive/data/0", data: zeros, size: 1001 }, { name: "archive/data/1", data: zeros }],
      /overlaps/,
    ],
    [
      "an entry that begins beyond the file",
      [{ ...empty, offset: 2 ** 31 }],
      /got the directory|before the directory|the end of its directory/,
    ],
    [
      "one name twice",
      [empty, { name: "archive/data/0", data: zeros }, { name: "archive/data/0", data: zeros }],
      /"archive\/data\/0" twice/,
    ],
    [
      "two pickles",
      [empty, { ...empty, name: "other/data.pkl" }],
      /expected one entry <name>\/data.pkl in the zip archive, got 2/,
    ],
    ["no pickle", [{ name: "data.pkl", data: pickle("}") }], /expected an entry <name>\/data.pkl/],
    [
      "the other byte order",
      [empty, { name: "archive/byteorder", data: Buffer.from("big") }],
      /expected the byte order "little", got "big"/,
    ],
    [
      "a huge pickle",
      [{ name: "archive/data.pkl", data: new Uint8Array(2 ** 25 + 1) }],
      /data.pkl of at most 33554432 bytes/,
    ],
  ])("refuses %s", async (_, parts, message) => {
    expect(await refusal(zipOf(parts))).toMatch(message);
  });

  it("reads 64-bit numbers, as archives beyond 4 GiB have them", () =>
    load("zip64.pth", (tensors) => expect(numbers(tensors, "weight")).toEqual([[2], [1, 2]])));

  it("refuses a directory that is larger than any model's", async () => {
    const parts = Array.from({ length: 260 }, () => ({ name: "n".repeat(65_000), data: new Uint8Array(0) }));
    expect(await refusal(zipOf(parts))).toMatch(/a directory of at most 16777216 bytes, got 16911960/);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /expected the zip archive of torch.save/],
    ["text", Buffer.from("version https://git-lfs"), /expected the zip archive of torch.save .*, got something else/],
    [
      "the beginning of an archive",
      Buffer.from("PK\x03\x04"),
      /got the directory|before the directory|the end of its directory/,
    ],
  ])("refuses a file that is %s", async (_, bytes, message) => {
    expect(await refusal(bytes)).toMatch(message);
  });
});

describe("loadTorchFile, on damaged files", () => {
  /** True if the file is loaded, false if it is refused with E_DATA. Any other error fails the test. */
  const settles = async (bytes: Uint8Array) => {
    await writeFile(path, bytes);
    try {
      free(await loadTorchFile(path));
      return true;
    } catch (error) {
      if (!(error instanceof BatchCamError) || error.code !== "E_DATA") throw error;
      return false;
    } finally {
      expect(memory().liveTensors).toBe(live);
    }
  };

  it("refuses a file cut at any byte", async () => {
    const valid = await fixtureBytes("parameters.pth");
    for (let length = 0; length < valid.length; length++) expect(await settles(valid.subarray(0, length))).toBe(false);
  });

  it.each(["zip64.pth", "views.pth"])("turns any flipped byte of %s into E_DATA or tensors", async (name) => {
    const valid = await fixtureBytes(name);
    const read: boolean[] = [];
    for (let at = 0; at < valid.length; at++) {
      const bytes = Buffer.from(valid);
      bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
      read.push(await settles(bytes)); // `settles` throws for any other result
    }
    expect(new Set(read)).toEqual(new Set([true, false]));
  });

  it("turns any damage of any file into E_DATA or tensors", async () => {
    const names = (await readdir(FIXTURES)).toSorted();
    const files = await Promise.all(names.map(fixtureBytes));
    const damage = fc.array(fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255)), {
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        damage,
        fc.option(fc.nat({ max: 12_000 })),
        async (file, changes, cut) => {
          const bytes = Buffer.from(file.subarray(0, cut ?? file.length));
          for (const [where, value] of changes) bytes[Math.floor(where * bytes.length)] = value;
          await settles(bytes);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("turns any pickle of known opcodes into E_DATA or tensors", async () => {
    const words = [..."(01N}])taesuRQb."].map((word) => bytesOf(word));
    const parts = [
      ...words,
      text("state_dict"),
      text("w"),
      pickledTensor(),
      bytesOf("q", 0),
      bytesOf("h", 0),
      bytesOf("K", 1),
    ];
    const globals = [
      "torch\nSize",
      "torch\nfloat32",
      "collections\nOrderedDict",
      "torch._utils\n_rebuild_parameter",
      "builtins\nset",
    ];
    const opcode = fc.constantFrom(...parts, ...globals.map((name) => bytesOf(`c${name}\n`)));
    await fc.assert(
      fc.asyncProperty(fc.array(opcode, { maxLength: 30 }), async (opcodes) => {
        await settles(torchArchive(pickle("}", ...opcodes), { 0: new Uint8Array(8) }));
      }),
      { numRuns: 500 },
    );
  });
});
