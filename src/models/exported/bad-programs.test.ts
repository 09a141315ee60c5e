import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { zip } from "../../../test/support/npz-file.ts";
import {
  changedProgram,
  entriesOf,
  exportedPath,
  type Json,
  PROGRAM,
  WEIGHTS,
  writeEntries,
} from "../../../test/support/program-file.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { pickle, torchArchive, zipOf } from "../../../test/support/torch-archive.ts";
import { BatchCamError } from "../../errors.ts";
import { loadExportedModel } from "./load.ts";
import { readProgram } from "./read-program.ts";

const folder = temporaryFolder("bad-programs");
const source = exportedPath("tiny-2.11.pt2");

/** The error of a file that must be refused. */
async function refusal(path: string): Promise<BatchCamError> {
  const error = await readProgram(path).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(BatchCamError);
  const refused = error as BatchCamError;
  expect(refused.message.startsWith("loadExportedModel: ")).toBe(true);
  expect(refused.message.length).toBeLessThan(900);
  return refused;
}

async function refusedBytes(bytes: Uint8Array, name = "file.pt2"): Promise<string> {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const { code, message } = await refusal(path);
  expect(code).toBe("E_DATA");
  expect(message).toContain(path);
  return message;
}

async function refusedChange(
  change: (json: Json) => void,
  options?: { from?: string; entry?: RegExp },
): Promise<string> {
  const { code, message } = await refusal(await changedProgram(folder, change, options));
  expect(code).toBe("E_DATA");
  return message;
}

const nodeOf = (json: Json, name: string): Json =>
  json.graph_module.graph.nodes.find((node: Json) => node.name === name || node.outputs[0]?.as_tensor?.name === name);
const signatureOf = (json: Json): Json => json.graph_module.signature;
const valuesOf = (json: Json): Json => json.graph_module.graph.tensor_values;

describe("a file that is no program", () => {
  const zipWith = (...names: string[]) => zipOf(names.map((name) => ({ name, data: Buffer.from("x") })));
  const safetensors = Buffer.from("\x02\0\0\0\0\0\0\0{}", "latin1");

  it.each([
    [
      "a package of AOTInductor",
      zipWith("m/archive_format", "m/data/aotinductor/model/a.so"),
      /AOTInductor.*compiled code.*export-recipe/,
    ],
    ["one of torch 2.6", zipWith("data/aotinductor/model/a.so"), /AOTInductor/],
    [
      "TorchScript",
      zipWith("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"),
      /a TorchScript archive.*older format.*export-recipe/,
    ],
    ["a state dict", torchArchive(pickle("}")), /weights or a pickled model of torch.save.*--weights.*export-recipe/],
    ["a state dict before torch 1.6", Buffer.from("80028a0a6cfc9c46f9206aa850192e", "hex"), /weights of torch.save/],
    ["safetensors", safetensors, /weights \(safetensors\).*--weights.*export-recipe/],
    ["ExecuTorch", Buffer.from("\x1c\0\0\0ET12rest", "latin1"), /ExecuTorch/],
    ["ONNX", Buffer.from("08081208", "hex"), /an ONNX model.*export-recipe/],
    ["a zip of something else", zipWith("README"), /a zip archive.*README/],
    ["an empty zip", zipOf([]), /it holds nothing/],
    ["an empty file", Buffer.alloc(0), /is empty/],
    ["noise", Buffer.from("what is this?"), /got something else/],
  ])("is recognised as %s", async (_, bytes, message) => {
    expect(await refusedBytes(bytes)).toMatch(message);
  });

  it("is missing, a folder or a pipe", async () => {
    expect(await refusal(join(folder, "missing.pt2"))).toMatchObject({ code: "E_IO" });
    mkdirSync(join(folder, "folder.pt2"));
    expect(await refusal(join(folder, "folder.pt2"))).toMatchObject({ code: "E_DATA", message: /got a folder/ });
    execFileSync("mkfifo", [join(folder, "pipe.pt2")]);
    expect(await refusal(join(folder, "pipe.pt2"))).toMatchObject({ code: "E_DATA", message: /a named pipe/ });
  });
});

describe("an archive", () => {
  it("that was cut short is refused at every length", async () => {
    const bytes = readFileSync(exportedPath("tiny-2.6.pt2"));
    for (const share of [0.1, 0.5, 0.9, 0.99, 0.9999])
      expect(await refusedBytes(bytes.subarray(0, bytes.length * share))).toMatch(/damaged.*export-recipe/);
  });

  it.each(["../../etc/passwd", "/etc/passwd", "m\\..\\x", "C:/x", "a/../../b"])(
    "with the entry %s is refused",
    async (name) => {
      const entries = await entriesOf(source);
      entries.set(name, Buffer.from("x"));
      expect((await refusal(writeEntries(join(folder, "names.pt2"), entries))).message).toMatch(
        /outside of its folder/,
      );
    },
  );

  it("with an entry twice, or with entries that overlap, is refused", async () => {
    const parts = Array.from(await entriesOf(source), ([name, data]) => ({ name, data }));
    expect(await refusedBytes(zipOf([...parts, ...parts.slice(0, 1)]))).toMatch(/twice/);
    expect(await refusedBytes(zipOf(parts.map((part, at) => (at === 3 ? { ...part, offset: 0 } : part))))).toMatch(
      /overlaps/,
    );
  });

  it("with a weight that was damaged on the way is refused by its checksum", async () => {
    const bytes = readFileSync(source);
    const at = bytes.indexOf((await entriesOf(source)).get("tiny-2.11/data/weights/weight_0") as Buffer);
    bytes[at + 100] = (bytes[at + 100] as number) ^ 1;
    expect(await refusedBytes(bytes)).toMatch(/weight_0" is damaged: its checksum/);
  });

  it("that unpacks to much more than it has is refused before it is unpacked", async () => {
    const entries = await entriesOf(source);
    const changed = (end: RegExp, change: (data: Buffer) => Buffer) =>
      Object.fromEntries(Array.from(entries, ([name, data]) => [name, end.test(name) ? change(data) : data]));
    const bomb = zip(changed(/weight_0$/, () => Buffer.alloc(66 * 2 ** 20)));
    expect(await refusedBytes(bomb)).toMatch(/expected tensors of at most \d+ bytes in a file of/);
    for (const name of entries.keys()) if (/archive_\w+$|byteorder$/.test(name)) entries.delete(name);
    const huge = zip(Object.fromEntries(entries), { size: 2 ** 30 });
    expect(await refusedBytes(huge)).toMatch(/model.json of at most 67108864 bytes, got 1073741824/);
    const withJson = (text: string) => zip(changed(PROGRAM, () => Buffer.from(text)));
    expect(await refusedBytes(withJson("[".repeat(1000)))).toMatch(/nested deeper/);
    expect(await refusedBytes(withJson(`[${"{},".repeat(2 ** 22)}0]`))).toMatch(/more than \d+ values/);
  });

  it("of a newer format, of another byte order or with several programs is refused", async () => {
    const entries = await entriesOf(source);
    const withText = (end: string, text: string) =>
      new Map(Array.from(entries, ([name, data]) => [name, name.endsWith(end) ? Buffer.from(text) : data] as const));
    const path = join(folder, "newer.pt2");
    expect((await refusal(writeEntries(path, withText("archive_version", "1")))).message).toMatch(
      /archive version "0", got "1"/,
    );
    expect((await refusal(writeEntries(path, withText("byteorder", "big")))).message).toMatch(
      /byte order "little", got "big"/,
    );
    const [name, json] = [...entries].find(([each]) => PROGRAM.test(each)) as [string, Buffer];
    entries.delete(name);
    for (const other of ["encoder", "head"]) entries.set(name.replace("model.json", `${other}.json`), json);
    expect((await refusal(writeEntries(path, entries))).message).toMatch(
      /2 programs \(encoder, head\).*in a file of its own/,
    );
  });
});

describe("JSON", () => {
  it.each([
    ["text that is no JSON", "{", /models\/model.json is not JSON/],
    ["bytes that are not UTF-8", Buffer.from('{"a": "\xff"}', "latin1"), /is not JSON/],
    ["something else", "[]", /model.json: Invalid input: expected object/],
    ["an empty object", "{}", /schema_version/],
    ["another major version", '{"schema_version": {"major": 9, "minor": 0}}', /version 7 or 8 of the schema.*got 9.0/],
    [
      "a program without a graph",
      '{"schema_version": {"major": 8, "minor": 1}, "graph_module": {}}',
      /graph_module.graph/,
    ],
  ])("with %s is refused", async (_, text, message) => {
    const entries = await entriesOf(source);
    const name = [...entries.keys()].find((each) => PROGRAM.test(each)) as string;
    entries.set(name, Buffer.from(text));
    expect((await refusal(writeEntries(join(folder, "json.pt2"), entries))).message).toMatch(message);
  });
});

describe("a node", () => {
  const addArgument = (arg: Json) => (json: Json) => nodeOf(json, "batch_norm").inputs.push({ name: "extra", arg });
  const place = /node "batch_norm" \(aten\.batch_norm\.default in norm \(BatchNorm2d\)\): argument extra: /;

  it.each([
    [
      "an argument of an unknown kind",
      { as_quaternion: 1 },
      /kind of argument "as_quaternion" is not known; export the model with an older/,
    ],
    ["two kinds in one argument", { as_int: 1, as_float: 2 }, /expected one kind, got 2/],
    ["a complex number", { as_complex: { real: 1, imag: 2 } }, /a complex number.*rewrite/],
    ["a custom object", { as_custom_obj: { name: "o", class_fqn: "C" } }, /a custom object/],
    ["an operator as argument", { as_operator: "aten.add" }, /another operator/],
    ["a dtype that the engine lacks", { as_scalar_type: 10 }, /the dtype complex64/],
    ["a sparse layout", { as_layout: 1 }, /the layout sparse_coo/],
    ["an unknown memory format", { as_memory_format: 9 }, /memory format 9/],
    ["a fraction as integer", { as_int: 0.5 }, /expected an integer, got 0.5/],
    ["an integer beyond 2^53", { as_int: 2 ** 60 }, /larger than 2\^53/],
    ["a text as number", { as_float: "Infinite" }, /expected a number, got "Infinite"/],
    ["a list that is none", { as_ints: 3 }, /expected a list, got 3/],
    ["a value that nothing defines", { as_tensor: { name: "ghost" } }, /uses the value "ghost" before it is defined/],
    [
      "a value that is defined later",
      { as_tensor: { name: "linear" } },
      /before it is defined.*wrong order or form a cycle/,
    ],
    ["its own result", { as_tensor: { name: "batch_norm" } }, /before it is defined/],
    ["a tensor as number", { as_sym_int: { as_name: "conv2d" } }, /expected a number, got the tensor "conv2d"/],
    ["a graph for an operator without", { as_graph: { name: "g", graph: {} } }, /which this operator does not run/],
    ["a name that is __proto__", { as_tensor: { name: "__proto__" } }, /before it is defined/],
  ])("with %s is refused by its name and module", async (_, argument, message) => {
    const refused = await refusedChange(addArgument(argument));
    expect(refused).toMatch(place);
    expect(refused).toMatch(message);
  });

  it.each(["cond", "while_loop", "map_impl", "scan", "flex_attention"])(
    "of control flow (%s) is refused",
    async (name) => {
      const refused = await refusedChange((json) => {
        nodeOf(json, "conv2d_1").target = `torch.ops.higher_order.${name}`;
      });
      expect(refused).toMatch(
        new RegExp(`node "conv2d_1" \\(higher_order.${name} in first \\(Conv2d\\)\\): the operator ${name}.*rewrite`),
      );
    },
  );

  it("whose result is complex, sparse or depends on values is refused", async () => {
    const result = (key: string, value: Json) => (json: Json) => {
      valuesOf(json).conv2d_1[key] = value;
    };
    const unbacked = [{ as_expr: { expr_str: "Symbol('u0', integer=True)", hint: null } }];
    expect(await refusedChange(result("dtype", 10))).toMatch(/node "conv2d_1".*in first.*dtype complex64/);
    expect(await refusedChange(result("layout", 1))).toMatch(/node "conv2d_1".*layout sparse_coo/);
    expect(await refusedChange(result("sizes", unbacked))).toMatch(
      /node "conv2d_1".*depends on the values of a tensor \(the symbol u0\)/,
    );
  });

  it("that takes a complex buffer is refused by the name of the buffer's input", async () => {
    const refused = await refusedChange((json) => {
      valuesOf(json).b_gain.dtype = 10;
    });
    expect(refused).toMatch(/the input "b_gain" of the graph: it has the dtype complex64/);
  });

  it("with an argument that its operator does not have is refused", async () => {
    const path = await changedProgram(folder, addArgument({ as_int: 1 }));
    await expect(loadExportedModel(path)).rejects.toThrow(/aten::batch_norm has no argument extra/);
    await expect(loadExportedModel(path)).rejects.toBeInstanceOf(BatchCamError);
  });

  it("that defines a name a second time is refused", async () => {
    const refused = await refusedChange((json) => {
      nodeOf(json, "conv2d_1").outputs = [{ as_tensor: { name: "conv2d" } }];
    });
    expect(refused).toMatch(/node "conv2d_1".*"conv2d" is defined twice/);
  });

  it("of another form is refused by its position and name", async () => {
    const refused = await refusedChange((json) => {
      nodeOf(json, "conv2d_1").inputs = 3;
    });
    expect(refused).toMatch(/node \d+ \("conv2d_1"\): inputs: Invalid input: expected array/);
    expect(await refusedChange(({ graph_module }) => graph_module.graph.nodes.splice(0, 1, null))).toMatch(/node 0: /);
  });

  it("in a graph of its own is refused with both places", async () => {
    const refused = await refusedChange((json) => {
      const { graph } = json.graph_module.graph.nodes[0].inputs[1].arg.as_graph;
      graph.nodes[1].inputs[0].arg = { as_tensor: { name: "x" } };
    });
    expect(refused).toMatch(/set_grad_enabled.*: in its graph: node "relu".*uses the value "x" before/);
  });

  it("whose graphs are nested without end is refused", async () => {
    const refused = await refusedChange(({ graph_module: { graph } }) => {
      for (let depth = 0; depth < 20; depth++) {
        const copy = JSON.parse(JSON.stringify(graph.nodes[0]));
        copy.inputs[1].arg.as_graph.graph.nodes.unshift(graph.nodes[0]);
        copy.inputs[1].arg.as_graph.graph.nodes.length = 1;
        graph.nodes[0] = copy;
      }
    });
    expect(refused).toMatch(/nested deeper/);
  });
});

describe("a signature", () => {
  it("with several inputs is refused", async () => {
    const refused = await refusedChange((json) => {
      const spec = { user_input: { arg: { as_tensor: { name: "mask" } } } };
      signatureOf(json).input_specs.push(spec);
      json.graph_module.graph.inputs.push(spec.user_input.arg);
      valuesOf(json).mask = valuesOf(json).x;
    });
    expect(refused).toMatch(/expected one input, the images, got 2 \(x, mask\).*export-recipe/);
  });

  it("with an input that is no batch of images is refused", async () => {
    const input = (key: string, value: Json) => (json: Json) => {
      valuesOf(json).x[key] = value;
    };
    expect(await refusedChange(input("dtype", 1))).toMatch(
      /images of a floating dtype, got uint8.*export the model with an example/,
    );
    expect(await refusedChange(input("sizes", [{ as_int: 2 }, { as_int: 784 }]))).toMatch(
      /expected images \[N, C, H, W\], got \[2, 784\]/,
    );
  });

  it("with other outputs than logits is refused", async () => {
    const output = (key: string, value: Json) => (json: Json) => {
      valuesOf(json).linear[key] = value;
    };
    const [batch] = [{ as_expr: { expr_str: "s77", hint: { as_int: 2 } } }];
    expect(await refusedChange(output("sizes", [batch, { as_int: 3 }, { as_int: 8 }, { as_int: 8 }]))).toMatch(
      /expected logits \[N, classes\], got float32 \[\?, 3, 8, 8\]/,
    );
    expect(await refusedChange(output("sizes", [{ as_int: 7 }, { as_int: 3 }]))).toMatch(
      /expected logits of each image, got \[7, 3\]/,
    );
    expect(await refusedChange(output("dtype", 5))).toMatch(/got int64 \[\?, 3\]/);
    const twice = (json: Json) => signatureOf(json).output_specs.push(signatureOf(json).output_specs[0]);
    expect(await refusedChange(twice)).toMatch(/expected one output, the logits, got 2.*self.model\(x\).logits/);
  });

  it("with mutations, custom objects or tokens is refused", async () => {
    const output = (spec: Json) => (json: Json) => signatureOf(json).output_specs.push(spec);
    const input = (spec: Json) => (json: Json) => signatureOf(json).input_specs.push(spec);
    const arg = { name: "relu_1" };
    expect(await refusedChange(output({ parameter_mutation: { arg, parameter_name: "fc.weight" } }))).toMatch(
      /its own parameter "fc.weight"/,
    );
    expect(await refusedChange(output({ user_input_mutation: { arg, user_input_name: "x" } }))).toMatch(
      /changes its input in place/,
    );
    expect(await refusedChange(output({ loss_output: { arg } }))).toMatch(/"loss_output" is not supported/);
    expect(await refusedChange(output({ buffer_mutation: { arg, buffer_name: "norm.nothing" } }))).toMatch(
      /differ in the output "relu_1"/,
    );
    expect(await refusedChange(input({ custom_obj: { arg, custom_obj_name: "o" } }))).toMatch(/the custom object "o"/);
    expect(await refusedChange(input({ token: { arg } }))).toMatch(/"token" is not supported/);
  });

  it("that differs from the graph is refused", async () => {
    expect(await refusedChange((json) => signatureOf(json).input_specs.shift())).toMatch(
      /differ in the input "p_stem_weight"/,
    );
    const missing = (json: Json) => {
      delete valuesOf(json).p_stem_weight;
    };
    expect(await refusedChange(missing)).toMatch(/does not say what the tensor "p_stem_weight" is/);
  });
});

describe("weights", () => {
  const row = (change: (row: Json) => void) => (json: Json) => change(json.config["stem.weight"]);
  const meta = (key: string, value: Json) =>
    row(({ tensor_meta }) => {
      tensor_meta[key] = value;
    });
  const sizes = (...list: number[]) => list.map((size) => ({ as_int: size }));

  it.each([
    [
      "sizes that the file does not hold",
      meta("sizes", sizes(4, 3, 3, 4)),
      /the graph expects float32 \[4, 3, 3, 3\], and the file holds float32 \[4, 3, 3, 4\]/,
    ],
    [
      "strides beyond their storage",
      meta("strides", sizes(1000, 9, 3, 1)),
      /needs \d+ bytes, and entry "[^"]+weight_0" has 432/,
    ],
    ["a negative stride", meta("strides", sizes(-27, 9, 3, 1)), /not an integer >= 0/],
    ["an offset beyond their storage", meta("storage_offset", { as_int: 1 }), /needs 436 bytes/],
    ["fewer strides than sizes", meta("strides", sizes(1)), /4 sizes and 1 stride;/],
    [
      "a symbolic size",
      meta("sizes", [{ as_expr: { expr_str: "s0" } }, ...sizes(3, 3, 3)]),
      /the file holds float32 \[NaN/,
    ],
    ["another dtype", meta("dtype", 8), /the file holds float64/],
    [
      "a dtype that the engine lacks",
      meta("dtype", 29),
      /the parameter "stem.weight" has the dtype float8_e4m3fn.*a quantized model/,
    ],
    ["a layout that is not dense", meta("layout", 1), /has the layout sparse_coo/],
    [
      "a pickled tensor of a class of its own",
      row((each) => {
        each.use_pickle = true;
      }),
      /the parameter "stem.weight" is an object of a class of its own/,
    ],
    [
      "an entry that is missing",
      row((each) => {
        each.path_name = "weight_99";
      }),
      /has no data \(data\/weights\/weight_99\)/,
    ],
    [
      "a path that leaves the folder",
      row((each) => {
        each.path_name = "../../../etc/passwd";
      }),
      /has no data/,
    ],
    [
      "a name that is missing",
      (json: Json) => {
        delete json.config["stem.weight"];
      },
      /the parameter "stem.weight" has no data in the file/,
    ],
  ])("with %s are refused", async (_, change, message) => {
    expect(await refusedChange(change, { entry: WEIGHTS })).toMatch(message);
  });

  it("of 10^9-sized dimensions are refused before memory is allocated", async () => {
    const huge = [1e9, 1e9, 3, 3];
    const before = process.memoryUsage().rss;
    for (const dims of [huge, [1e9, 3, 3, 3], [1e5, 1e5, 1, 1]]) {
      const path = await changedProgram(folder, (json) => {
        valuesOf(json).p_stem_weight.sizes = sizes(...dims);
      });
      const entries = await entriesOf(path);
      const name = [...entries.keys()].find((each) => WEIGHTS.test(each)) as string;
      for (const strides of [sizes(27, 9, 3, 1), sizes(0, 0, 0, 0)]) {
        const json = JSON.parse(String(entries.get(name)));
        Object.assign(json.config["stem.weight"].tensor_meta, { sizes: sizes(...dims), strides });
        entries.set(name, Buffer.from(JSON.stringify(json)));
        expect((await refusal(writeEntries(path, entries))).message).toMatch(
          /too large for any memory|needs \d+ bytes|at most \d+ bytes/,
        );
        entries.set("tiny-2.11/data/weights/weight_0", Buffer.alloc(0));
        expect((await refusal(writeEntries(path, entries))).message).toMatch(/too large|at most \d+ bytes/);
      }
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
  });

  it("of a pickle that names a function are refused, and nothing is run", async () => {
    for (const [from, end] of [
      ["tiny-2.6.pt2", "serialized_state_dict.pt"],
      ["tiny-2.8.pt2", "weights/model.pt"],
    ] as const) {
      const entries = await entriesOf(exportedPath(from));
      const name = [...entries.keys()].find((each) => each.endsWith(end)) as string;
      entries.set(name, torchArchive(pickle("cos\nsystem\n(X\x04\0\0\0exittR")));
      const { message } = await refusal(writeEntries(join(folder, "pickle.pt2"), entries));
      expect(message).toMatch(/os\.system.*nothing was run/);
      entries.set(name, Buffer.from("no zip"));
      expect((await refusal(writeEntries(join(folder, "pickle.pt2"), entries))).message).toContain(end);
    }
  });
});
