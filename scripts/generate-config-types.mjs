#!/usr/bin/env node
// Writes src/config/generated/inputs.ts: the types of configs as callers write them, with the description of each key, which editors could
// not show for types inferred by zod. `--check` writes nothing and fails if the file is out of date. It needs `npm run build` first.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** @typedef {import("../src/config/internal.ts").FieldSchema & { items?: Field, prefixItems?: Field[] }} Field */

export const target = fileURLToPath(new URL("../src/config/generated/inputs.ts", import.meta.url));

/**
 * The module's text, made from each type's name and the fields of its schema (`fieldsOf`).
 *
 * @param {Record<string, Record<string, Field>>} fieldsByName
 */
export function configTypes(fieldsByName) {
  const types = Object.entries(fieldsByName).map(([name, fields]) => {
    const keys = Object.entries(fields).map(
      ([key, field]) => `${comment(field)}\n  ${key}?: ${typeOf(field)} | undefined;`,
    );
    return `export type ${name} = {\n${keys.join("\n")}\n};\n`;
  });
  return `// Written by scripts/generate-config-types.mjs from the schemas of src/config. Do not edit.\n\n${types.join("\n")}`;
}

/** @param {Field} field */
function comment({ description = "", default: value }) {
  const text = description.replaceAll("*/", "* /");
  return `  /** ${text}${value === undefined ? "" : ` @default ${JSON.stringify(value)}`} */`;
}

/**
 * @param {Field} field
 * @returns {string}
 */
function typeOf({ type, enum: values, const: only, anyOf, items, prefixItems, extension }) {
  if (values !== undefined) return values.map((value) => JSON.stringify(value)).join(" | ");
  if (only !== undefined) return JSON.stringify(only);
  if (extension !== undefined) return `\`\${string}${extension}\``;
  if (anyOf !== undefined) return anyOf.map(typeOf).join(" | ");
  if (prefixItems !== undefined) return `[${prefixItems.map(typeOf).join(", ")}]`;
  if (type === "array" && items !== undefined) return `(${typeOf(items)})[]`;
  if (type === "integer") return "number";
  if (type === "string" || type === "number" || type === "boolean") return type;
  throw new Error(`generate-config-types: no TypeScript type for a field of type ${JSON.stringify(type)}`);
}

async function main() {
  const { TrainConfig } = await import("../dist/config/index.js");
  const { fieldsOf } = await import("../dist/config/internal.js");
  const text = configTypes({ TrainConfigInput: fieldsOf(TrainConfig) });
  if (!process.argv.includes("--check")) return writeFileSync(target, text);
  if (readFileSync(target, "utf8") === text) return;
  process.stderr.write(`${target} is out of date: run \`npm run build && node scripts/generate-config-types.mjs\`\n`);
  process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
