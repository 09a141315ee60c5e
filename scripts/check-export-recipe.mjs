#!/usr/bin/env node
// Runs the Python that `batch-cam export-recipe` prints, and reads the files that it writes: node scripts/check-export-recipe.mjs [--venv <folder>]
// Weights are random, because nothing is downloaded. It needs `npm run build`.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { recipeOf } from "../dist/cli/export-recipe/recipe.js";
import { readProgram } from "../dist/models/exported/read-program.js";
import { installPython } from "./python-environment.mjs";

const OWN = `import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes=10):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

if __name__ == "__main__":
    torch.save(Net(5).state_dict(), "weights.pth")
`;
/** @type {{ source: import("../dist/cli/export-recipe/recipe.js").Source, model: string }[]} */
const CASES = [
  { source: "timm", model: "resnet10t" },
  { source: "timm", model: "vit_tiny_patch16_224" },
  { source: "torchvision", model: "mobilenet_v3_small" },
  { source: "own", model: "nets.Net" },
];

const { values } = parseArgs({ options: { venv: { type: "string" } } });
const folder = mkdtempSync(join(tmpdir(), "batch-cam-recipe-"));
try {
  const python = installPython("weights", values.venv ?? join(folder, "venv"));
  writeFileSync(join(folder, "nets.py"), OWN);
  execFileSync(python, ["nets.py"], { cwd: folder });
  for (const { source, model } of CASES) {
    const recipe = recipeOf(source, { model, imageSize: 224, classes: 5 }).replace(
      "pretrained=True",
      "pretrained=False",
    );
    const place = join(folder, `${source}-${model}`);
    mkdirSync(place);
    execFileSync(
      python,
      [
        "-W",
        "ignore",
        "-c",
        `import os, sys\nsys.path.insert(0, ".")\n${recipe.replace('"weights.pth"', '"../weights.pth"')}`,
      ],
      {
        cwd: place,
        env: { ...process.env, PYTHONPATH: folder },
        stdio: "inherit",
      },
    );
    for (const file of readdirSync(place)) {
      const { graph, input, torchVersion, tensors } = await readProgram(join(place, file));
      if (input.sizes.join() !== ",3,224,224") throw new Error(`${file}: got images of [${input.sizes}]`);
      console.log(`${source} ${file}: ${graph.nodes.length} nodes, ${tensors.length} tensors, torch ${torchVersion}`);
      for (const { tensor } of tensors) tensor.dispose();
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
