import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Program } from "./program.ts";
import { readProgram } from "./read-program.ts";

const FOLDER = new URL("../../../test/fixtures/exported/", import.meta.url);
const pathOf = (name: string) => fileURLToPath(new URL(name, FOLDER));

interface Case {
  name: string;
  input: number[];
  classes: number;
  operators: string[];
}
const { cases } = JSON.parse(readFileSync(pathOf("manifest.json"), "utf8")) as { cases: Case[] };

function dispose({ tensors }: Program): void {
  for (const { tensor } of tensors) tensor.dispose();
}

describe("a program of torch 2.11", () => {
  it.each(cases)("$name has its operators, input and weights", async ({ name, input, operators }) => {
    const program = await readProgram(pathOf(`${name}.pt2`));
    const targets = new Set(program.graph.nodes.map(({ target }) => target));
    expect([...targets].sort()).toEqual(operators.filter((operator) => operator.startsWith("aten.")).sort());
    expect(program.input).toEqual({ value: "x", sizes: [null, ...input], dtype: "float32" });
    expect(program.torchVersion).toBe("2.11.0+cu130");
    for (const { name: of, kind, tensor, requiresGrad } of program.tensors) {
      expect(requiresGrad, of).toBe(kind === "parameter");
      expect(tensor.requiresGrad, of).toBe(false);
    }
    dispose(program);
  });

  it("keeps the paths of modules as state_dict writes them", async () => {
    const program = await readProgram(pathOf("own_branches.pt2"));
    const paths = program.graph.nodes.map(({ scopes }) => scopes.at(-1)?.path);
    expect(paths.filter((path) => path === "shared")).toHaveLength(2);
    expect(paths).toContain("mix.0");
    dispose(program);
  });
});
