import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { pickle, zipOf } from "../../test/support/torch-archive.ts";
import { tensor } from "../tensor/create.ts";
import { mayNameData } from "./pickle-value.ts";
import { saveSafetensors } from "./safetensors.ts";
import { weightsKindOf } from "./weights-kind.ts";

const folder = temporaryFolder("weights-kind");
const fixture = (name: string) => fileURLToPath(new URL(`../../test/fixtures/torch-files/${name}`, import.meta.url));

const kindOf = (name: string, bytes: Uint8Array | string) => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return weightsKindOf(path, "weights");
};
const zip = (...names: string[]) => zipOf(names.map((name) => ({ name, data: Buffer.from("x") })));
const hex = (digits: string) => Buffer.from(digits.replaceAll(" ", ""), "hex");
const tar = Buffer.concat([Buffer.alloc(257), Buffer.from("ustar\0"), Buffer.alloc(249)]);

describe("weightsKindOf", () => {
  it.each(["a.pth.tar", "a.ckpt", "a.PTH", "a.pt", "a.bin", "a", "a.safetensors", "a.txt"])(
    "tells the formats by their bytes in a file named %s",
    async (name) => {
      const path = join(folder, name);
      await copyFile(fixture("module.pth"), path);
      expect(await weightsKindOf(path, "weights")).toBe("torch");
      await copyFile(fixture("legacy.pth"), path);
      expect(await weightsKindOf(path, "weights")).toBe("torch");
      using weight = tensor([1]);
      await saveSafetensors(path, new Map([["w", weight]]));
      expect(await weightsKindOf(path, "weights")).toBe("safetensors");
      expect(await kindOf(name, '{"metadata": {}, "weight_map": {}}')).toBe("index");
    },
  );

  it.each<[string, Uint8Array | string, RegExp]>([
    ["an empty file", "", /got an empty file; download it again/],
    [
      "a Git LFS pointer",
      "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n",
      /Git LFS.*; fetch .*git lfs pull/,
    ],
    ["a page", "\n<!DOCTYPE html><html><title>404</title>", /a web page.*download the file again/],
    [
      "an answer in XML",
      '\uFEFF<?xml version="1.0"?><Error><Code>AccessDenied',
      /a web page or an error from a server/,
    ],
    ["an answer in JSON", '{"error": "Not Found"}', /a JSON file/],
    ["HDF5", hex("89 48 44 46 0d 0a 1a 0a 00"), /HDF5.*Keras/],
    ["ONNX", Buffer.concat([hex("08 0a 12 07"), Buffer.from("pytorch")]), /an ONNX model; save the state dict/],
    ["a SavedModel", hex("08 01 12 a2 93 01 0a"), /TensorFlow SavedModel/],
    ["TensorFlow Lite", Buffer.concat([hex("1c 00 00 00"), Buffer.from("TFL3")]), /TensorFlow Lite/],
    ["gzip", gzipSync("x"), /gzip-compressed file; unpack it/],
    ["bzip2", "BZh91AY", /bzip2/],
    ["xz", hex("fd 37 7a 58 5a 00"), /an xz-compressed/],
    ["tar", tar, /a tar archive; unpack it \(tar xf\)/],
    ["an .npy", hex("93 4e 55 4d 50 59 01 00"), /a NumPy array/],
    [
      "an .npz",
      zip("conv1.npy", "bn1.npy"),
      /a NumPy archive \(.npz\); .*python -c "import numpy, safetensors.numpy.*numpy\.load\('\S+\/weights\.pth'\)/,
    ],
    ["a .keras", zip("metadata.json", "model.weights.h5"), /a Keras model/],
    ["a .pt2", zip("m/archive_format", "m/models/model.json"), /torch.export/],
    [
      "a zip of files",
      zip("resnet18.pth", "README"),
      /did not write \(it holds resnet18.pth, README\); unpack it \(unzip\)/,
    ],
    ["an empty zip", zipOf([]), /did not write \(it holds nothing\)/],
    ["a zip cut short", zip("m/data.pkl").subarray(0, 40), /it is damaged or truncated: download it again/],
    ["a pickle of its own", pickle("}"), /a pickle that torch.save did not write/],
    ["a picture", hex("89 50 4e 47 0d 0a"), /a PNG image/],
    ["GGUF", "GGUF\x03", /GGUF/],
    [
      "noise",
      hex("01 02 03 04 05"),
      /a format that is not known here \(its first bytes are 01 02 03 04 05\); give weights as/,
    ],
    ["one byte", "x", /first bytes are 78/],
  ])("says that a file is %s, and what to do", async (_, bytes, message) => {
    await expect(kindOf("weights.pth", bytes)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(message),
    });
  });

  it("refuses a path that is not a regular file without opening it, and names one that is missing", async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    await expect(weightsKindOf(pipe, "weights")).rejects.toThrow(/expected a regular file, got a named pipe/);
    await expect(weightsKindOf("/dev/zero", "weights")).rejects.toThrow(/got a device/);
    await expect(weightsKindOf(folder, "weights")).rejects.toThrow(/got a folder/);
    await expect(weightsKindOf(join(folder, "none"), "weights")).rejects.toMatchObject({ code: "E_IO" });
  });
});

describe("mayNameData", () => {
  it.each([
    ["argparse", "Namespace"],
    ["numpy.core.multiarray", "scalar"],
    ["numpy._core.multiarray", "_reconstruct"],
    ["numpy", "dtype"],
    ["datetime", "datetime"],
    ["pathlib", "PosixPath"],
    ["functools", "partial"],
    ["torch.nn.modules.conv", "Conv2d"],
    ["omegaconf.dictconfig", "DictConfig"],
    ["__main__", "Config"],
    ["builtins", "slice"],
    ["types", "SimpleNamespace"],
    ["torch.utils.data.dataset", "Subset"],
    ["__builtin__", "object"],
  ])("lets %s.%s pass as data", (module, name) => expect(mayNameData(module, name)).toBe(true));

  it.each([
    ["os", "system"],
    ["posix", "system"],
    ["nt", "system"],
    ["os.path", "join"],
    ["subprocess", "Popen"],
    ["builtins", "eval"],
    ["builtins", "exec"],
    ["builtins", "__import__"],
    ["builtins", "getattr"],
    ["__builtin__", "open"],
    ["importlib", "import_module"],
    ["runpy", "run_path"],
    ["shutil", "rmtree"],
    ["torch.hub", "load"],
    ["torch", "load"],
    ["torch.utils.cpp_extension", "load_inline"],
    ["numpy.testing._private.utils", "runstring"],
    ["pickle", "loads"],
    ["types", "CodeType"],
    ["operator", "attrgetter"],
    ["__proto__", "constructor"],
    ["a b", "c"],
    ["a", "eval()"],
  ])("refuses %s.%s", (module, name) => expect(mayNameData(module, name)).toBe(false));
});
