#!/usr/bin/env node
// Builds dist/ for `npm pack`, because an installed package contains neither the sources nor a TypeScript compiler.
import { fileURLToPath } from "node:url";
import { asFailure } from "./setup/failure.mjs";
import { Progress } from "./setup/progress.mjs";
import { typescript } from "./setup/typescript.mjs";

const context = {
  root: fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, ""),
  env: process.env,
  progress: new Progress(),
};
try {
  if (!typescript.isFresh(context)) await typescript.run(context);
} catch (error) {
  const { message, details, remedy } = asFailure(error);
  process.stderr.write(`prepack: ${message}\n${details}\n  remedy: ${remedy}\n`);
  process.exitCode = 1;
}
