import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { zip } from "../../../test/support/npz-file.ts";
import { changedProgram, entriesOf, exportedPath, PROGRAM, writeEntries } from "../../../test/support/program-file.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { loadSafetensors } from "../../io/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { Argument, Program } from "./program.ts";
import { readProgram } from "./read-program.ts";

interface Case {
  name: string;
  input: number[];
  classes: number;
  operators: string[];
}
const { cases } = JSON.parse(readFileSync(exportedPath("manifest.json"), "utf8")) as { cases: Case[] };
const folder = temporaryFolder("programs");

function dispose({ tensors }: Program): void {
  for (const { tensor } of tensors) tensor.dispose();
}

/** Reads a program, and frees its tensors after `use`. */
async function withProgram<T>(path: string, use: (program: Program) => T): Promise<T> {
  const program = await readProgram(path);
  try {
    return use(program);
  } finally {
    dispose(program);
  }
}

const named = (program: Program, name: string) => program.tensors.filter((tensor) => tensor.name === name);
const values = (tensor: Tensor | undefined) => tensor && Array.from(tensor.data(), Number);
/** Changes the first value in place. */
const setFirst = (tensor: Tensor, value: number) => tensor.view([-1]).narrow(0, 0, 1).fill_(value);

describe("a program of torch 2.11", () => {
  it.each(cases)("$name has its operators, input and weights", async ({ name, input, operators }) => {
    await withProgram(exportedPath(`${name}.pt2`), (program) => {
      const targets = new Set(program.graph.nodes.map(({ target }) => target));
      expect([...targets].sort()).toEqual(operators.filter((operator) => operator.startsWith("aten.")).sort());
      expect(program.input).toEqual({ value: "x", sizes: [null, ...input], dtype: "float32" });
      expect(program.torchVersion).toBe("2.11.0+cu130");
      for (const { name: of, kind, tensor, requiresGrad } of program.tensors) {
        expect(requiresGrad, of).toBe(kind === "parameter");
        expect(tensor.requiresGrad, of).toBe(false);
      }
    });
  });

  it("keeps the paths of modules as state_dict writes them", async () => {
    await withProgram(exportedPath("own_branches.pt2"), (program) => {
      const paths = program.graph.nodes.map(({ scopes }) => scopes.at(-1)?.path);
      expect(paths.filter((path) => path === "shared")).toHaveLength(2);
      expect(paths).toContain("mix.0");
      expect(program.graph.nodes[0]?.scopes[0]).toEqual({ path: "", type: "__main__.Branches" });
    });
  });
});

const VERSIONS = ["2.5", "2.6", "2.8", "2.11", "2.15"];
// torch 2.5 exports this model wrongly in strict mode.
const files = VERSIONS.flatMap((version) =>
  ["", ...(version === "2.5" ? [] : ["-strict"]), "-train"].map((suffix) => `tiny-${version}${suffix}.pt2`),
);

describe.each(files)("%s", (file) => {
  it("has the values of its state dict and constants", async () => {
    const expected = await loadSafetensors(exportedPath("tiny.safetensors"));
    await withProgram(exportedPath(file), (program) => {
      for (const [path, tensor] of expected) {
        const [group, name = ""] = path.split("/");
        if (group === "state") {
          const found = named(program, name);
          expect(found, path).toHaveLength(1);
          expect(found[0]?.persistent, path).toBe(true);
          expect(found[0]?.tensor.shape, path).toEqual(tensor.shape);
          // The file was saved before a training pass of the exporter, except for the counter of batches.
          if (!name.startsWith("norm.r") && !name.endsWith("tracked"))
            expect(values(found[0]?.tensor), path).toEqual(values(tensor));
        }
      }
      const state = [...expected.keys()].filter((path) => path.startsWith("state/")).length;
      expect(program.tensors.filter(({ persistent }) => persistent)).toHaveLength(state);
      const [gain] = named(program, "gain");
      expect(gain).toMatchObject({ kind: "buffer", persistent: false, requiresGrad: false, value: "b_gain" });
      expect(values(gain?.tensor)).toEqual(values(expected.get("constant/gain")));
      const lifted = program.tensors.find(({ kind }) => kind === "constant");
      expect(values(lifted?.tensor)).toEqual([0.5, -0.25, 1, 2]);
    });
    for (const tensor of expected.values()) tensor.dispose();
  });

  it("ties weights, and shares the storage of buffers", async () => {
    await withProgram(exportedPath(file), (program) => {
      const [first, second] = [named(program, "first.weight")[0], named(program, "second.weight")[0]];
      expect(first?.tensor).toBe(second?.tensor);
      expect([first, second]).toMatchObject([
        { kind: "parameter", requiresGrad: true },
        { kind: "parameter", requiresGrad: true },
      ]);
      const [scale, shift] = [named(program, "scale")[0]?.tensor, named(program, "shift")[0]?.tensor] as [
        Tensor,
        Tensor,
      ];
      expect(scale).not.toBe(shift);
      setFirst(scale, 7);
      expect(values(scale)?.[0]).toBe(7);
      expect(values(shift)?.[0]).not.toBe(7);
    });
  });

  it("has one input, logits, and the paths of modules", async () => {
    await withProgram(exportedPath(file), (program) => {
      expect(program.input).toEqual({ value: "x", sizes: [null, 3, 8, 8], dtype: "float32" });
      expect(program.graph.nodes.at(-1)?.outputs).toEqual([{ kind: "value", name: program.output }]);
      const paths = new Set(program.graph.nodes.map(({ scopes }) => scopes.at(-1)?.path));
      for (const path of ["stem", "norm", "first", "second", "acts.0", "fc", ""]) expect(paths).toContain(path);
    });
  });
});

describe("numbers", () => {
  it("keep minus infinity, and give the end of a slice as a large integer", async () => {
    await withProgram(exportedPath("tiny-2.6.pt2"), ({ graph }) => {
      const argumentOf = (target: string, name: string) =>
        graph.nodes.find((node) => node.target === target)?.inputs.find((input) => input.name === name)?.argument;
      expect(argumentOf("aten.masked_fill.Scalar", "value")).toEqual({
        kind: "float",
        value: Number.NEGATIVE_INFINITY,
      });
      expect(argumentOf("aten.slice.Tensor", "end")).toEqual({ kind: "int", value: Number.MAX_SAFE_INTEGER });
    });
  });
});

describe("graphs inside of a graph", () => {
  // Without strict mode, torch 2.5 leaves autocast out.
  it.each(VERSIONS.slice(1))("have their inputs, nodes and outputs one by one in torch %s", async (version) => {
    await withProgram(exportedPath(`tiny-${version}.pt2`), ({ graph }) => {
      const [noGrad, autocast] = ["set_grad_enabled", "autocast"].map((name) =>
        graph.nodes.find(({ target }) => target === `higher_order.wrap_with_${name}`),
      );
      expect(noGrad?.outputs).toEqual([{ kind: "value", name: "getitem" }]);
      expect(noGrad?.inputs[0]).toEqual({ name: "", argument: { kind: "bool", value: false } });
      const inner = noGrad?.inputs[1]?.argument as Extract<Argument, { kind: "graph" }>;
      expect(inner.graph.inputs).toEqual(["b_gain"]);
      expect(inner.graph.nodes.map(({ target }) => target)).toEqual(["aten.mul.Tensor", "aten.relu.default"]);
      expect(inner.graph.outputs).toEqual([{ kind: "value", name: "relu" }]);
      expect(autocast?.inputs[0]).toEqual({ name: "", argument: { kind: "string", value: "cpu" } });
      expect(autocast?.inputs[1]?.argument).toEqual({ kind: "dtype", dtype: "bfloat16" });
    });
  });
});

describe("a program exported in training mode", () => {
  it.each(VERSIONS)("names the buffers that its graph replaces (torch %s)", async (version) => {
    await withProgram(exportedPath(`tiny-${version}-train.pt2`), ({ bufferUpdates }) => {
      expect(bufferUpdates.map(({ buffer }) => buffer)).toEqual([
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
      ]);
    });
  });
});

describe("archives that were written again", () => {
  const source = exportedPath("tiny-2.11.pt2");
  const renamed = async (rename: (name: string) => string) =>
    new Map(Array.from(await entriesOf(source), ([name, data]) => [rename(name), data] as const));

  it.each([
    ["another folder", (name: string) => name.replace(/^[^/]+/, "mein Modell ö")],
    ["no folder", (name: string) => name.replace(/^[^/]+\//, "")],
    ["a folder in a folder", (name: string) => `a/b/${name}`],
    ["another name of the program", (name: string) => name.replace(/\/model(_\w+_config)?(\.json|\.pt)$/, "/net$1$2")],
    [
      "the names of configs in older archives",
      (name: string) => name.replace("model_weights_config", "model_model_param_config"),
    ],
  ])("are read with %s", async (_, rename) => {
    const path = writeEntries(join(folder, "renamed.pt2"), await renamed(rename));
    await withProgram(path, (program) => expect(program.tensors).toHaveLength(16));
  });

  it("are read with compressed entries, in both layouts", async () => {
    for (const name of ["tiny-2.6.pt2", "tiny-2.8.pt2", "tiny-2.11.pt2"]) {
      const path = join(folder, `deflated-${name}`);
      writeFileSync(path, zip(Object.fromEntries(await entriesOf(exportedPath(name)))));
      await withProgram(path, (program) => expect(program.tensors).toHaveLength(16));
    }
  });

  it("take the program that is called model among several", async () => {
    const entries = await entriesOf(source);
    const json = [...entries].find(([name]) => PROGRAM.test(name)) as [string, Buffer];
    entries.set(json[0].replace("model.json", "other.json"), json[1]);
    const path = writeEntries(join(folder, "several.pt2"), entries);
    await withProgram(path, (program) => expect(program.output).toBe("linear"));
  });
});

describe("a program of a newer torch", () => {
  it("may have fields and a minor version that are not known", async () => {
    const path = await changedProgram(folder, (json) => {
      json.schema_version.minor = 99;
      json.new_field = { a: 1 };
      json.graph_module.graph.nodes[1].new_field = [1];
    });
    await withProgram(path, (program) => expect(program.output).toBe("linear"));
  });
});

describe("outputs", () => {
  it("that are None do not count", async () => {
    const path = await changedProgram(folder, ({ graph_module: { graph, signature } }) => {
      signature.output_specs.push({ user_output: { arg: { as_none: true } } });
      graph.outputs.push({ as_none: true });
    });
    await withProgram(path, (program) => expect(program.output).toBe("linear"));
  });
});

describe("sizes and numbers", () => {
  it("that the file fixes are kept, the batch too", async () => {
    const path = await changedProgram(folder, ({ graph_module: { graph } }) => {
      for (const name of ["x", "linear"]) graph.tensor_values[name].sizes[0] = { as_int: 2 };
    });
    await withProgram(path, ({ input }) => expect(input.sizes).toEqual([2, 3, 8, 8]));
  });

  it("that depend on the input are names of values", async () => {
    await withProgram(exportedPath("timm_vit.pt2"), ({ graph }) => {
      const size = graph.nodes.find(({ target }) => target === "aten.sym_size.int");
      expect(size?.outputs).toEqual([{ kind: "value", name: "sym_size_int_1" }]);
      const users = graph.nodes.filter(({ inputs }) => JSON.stringify(inputs).includes("sym_size_int_1"));
      expect(users[0]?.inputs.at(-1)?.argument).toMatchObject({
        kind: "list",
        items: [{ kind: "value", name: "sym_size_int_1" }, { kind: "int" }, { kind: "int" }],
      });
    });
  });
});
