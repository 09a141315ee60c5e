#!/usr/bin/env node
// Writes src/tensor/generated/aten.ts: one typed function for each operator of scripts/ops.txt, with the signature of its schema in the
// libtorch that the addon uses. `--check` writes nothing and fails if the file is out of date.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const target = join(root, "src/tensor/generated/aten.ts");

/** @typedef {(name: string, place: string) => string} Line a line of TypeScript */
/** @typedef {{ type: string, name: string, fallback: string | undefined }} Argument */
/** @typedef {{ name: string, args: Argument[], writes: boolean, returns: string[] }} Schema */

/**
 * For each type of a schema, the argument's type in TypeScript, and the code that checks it and writes it to the arena. Lists are copied
 * and checked before anything is written, because reading one may run a getter or a Proxy, which may run operators that write to the arena
 * too.
 *
 * @type {Record<string, { ts: string, take?: Line, put: Line }>}
 */
const TYPES = {
  Tensor: { ts: "TensorCore", put: (name, place) => `arena[next++] = handleOf(${name}, ${place});` },
  "Tensor?": {
    ts: "TensorCore | null | undefined",
    put: (name, place) => `arena[next++] = optionalHandle(${name}, ${place});`,
  },
  "Tensor[]": {
    ts: "readonly TensorCore[]",
    take: (name, place) => `${name} = listOf(${name}, ${place});`,
    put: (name, place) => `next = putTensors(next, ${name}, ${place});`,
  },
  Scalar: { ts: "Scalar", put: (name, place) => `next = putScalar(next, ${name}, ${place});` },
  "Scalar?": { ts: "Scalar | undefined", put: (name, place) => `next = putOptionalScalar(next, ${name}, ${place});` },
  int: { ts: "number", put: (name, place) => `arena[next++] = integer(${name}, ${place});` },
  "int?": { ts: "number | undefined", put: (name, place) => `arena[next++] = optionalInteger(${name}, ${place});` },
  "int[]": {
    ts: "readonly number[]",
    take: (name, place) => `${name} = integers(${name}, ${place});`,
    put: (name, place) => `next = putList(next, ${name}, ${place});`,
  },
  "int[]?": {
    ts: "readonly number[] | undefined",
    take: (name, place) => `${name} = optionalIntegers(${name}, ${place});`,
    put: (name, place) => `next = putOptionalList(next, ${name}, ${place});`,
  },
  float: { ts: "number", put: (name, place) => `arena[next++] = float(${name}, ${place});` },
  "float?": { ts: "number | undefined", put: (name, place) => `arena[next++] = optionalFloat(${name}, ${place});` },
  bool: { ts: "boolean", put: (name, place) => `arena[next++] = boolean(${name}, ${place}) ? 1 : 0;` },
  // Only empty lists are needed here, as parameters of activations that have none.
  "Scalar?[]": {
    ts: "readonly []",
    take: (name, place) => `${name} = listOf(${name}, ${place}) as [];`,
    put: () => "arena[next++] = 0;",
  },
  "str?": {
    ts: "string | undefined",
    put: (name, place) => `arena[next++] = ${name} === undefined ? Number.NaN : intern(string(${name}, ${place}));`,
  },
  str: { ts: "string", put: (name, place) => `arena[next++] = intern(string(${name}, ${place}));` },
};
/** @type {Record<string, string>} */
const ALIASES = { SymInt: "int", ScalarType: "int", Device: "int", MemoryFormat: "int" };
const OMITTED = new Set(["Generator?", "Layout?"]); // the engine's own generator; strided

/** @param {string} text */
function typeOf(text) {
  const plain = text.replace(/\[\d+\]/g, "[]");
  return plain.replace(/^[A-Za-z]+/, (word) => ALIASES[word] ?? word);
}

/** @param {string} name */
const camel = (name) => name.replace(/_+([a-z0-9])/gi, (_match, letter) => letter.toUpperCase());

/**
 * The full name of an operator. ops.txt omits the namespace if it is aten.
 *
 * @param {string} name
 */
const qualified = (name) => (name.includes("::") ? name : `aten::${name}`);

/**
 * Makes a function name: `mkldnn::_convolution_pointwise` becomes mkldnnConvolutionPointwise, `add_.Tensor` addInPlaceTensor,
 * `_fused_adam_` fusedAdamInPlace, `sum.dim_IntList` sumDimIntList.
 *
 * @param {string} operator
 */
function functionName(operator) {
  const [name = "", overload = ""] = operator.replace(/::_*/, "_").split(".");
  const inPlace = name.endsWith("_") ? "_in_place" : "";
  const base = camel(`${name.replace(/^_+|_+$/g, "")}${inPlace}`);
  const raw = name.startsWith("_") ? `raw${base.charAt(0).toUpperCase()}${base.slice(1)}` : base;
  return (
    raw +
    overload
      .split("_")
      .map((part) => part.slice(0, 1).toUpperCase() + part.slice(1))
      .join("")
  );
}

/** @param {string} text */
function splitTopLevel(text) {
  const parts = [];
  let depth = 0;
  let part = "";
  for (const character of text) {
    if ("([".includes(character)) depth += 1;
    if (")]".includes(character)) depth -= 1;
    if (character === "," && depth === 0) {
      parts.push(part.trim());
      part = "";
    } else part += character;
  }
  if (part.trim()) parts.push(part.trim());
  return parts;
}

/**
 * Translates a schema's default into TypeScript: None, True, 'text', or one number that is repeated a fixed number of times.
 *
 * @param {string} text
 * @param {string} type
 */
function defaultOf(text, type) {
  const count = type.match(/\[(\d+)\]$/)?.[1];
  if (count && !text.startsWith("[")) return `[${Array(Number(count)).fill(text).join(", ")}]`;
  return text
    .replace(/^None$/, "undefined")
    .replaceAll("'", '"')
    .replace(/^(True|False)$/, (word) => word.toLowerCase());
}

/**
 * @param {string} text
 * @returns {Argument}
 */
function parseArgument(text) {
  const [, type = "", name = "", , fallback] = text.match(/^(\S+) (\w+)(=(.*))?$/) ?? fail(`no argument: ${text}`);
  return { type: typeOf(type), name: camel(name), fallback: fallback && defaultOf(fallback, type) };
}

/**
 * Removes alias annotations, `Tensor(a!)` or `Tensor(a -> *)`. Whether an operator writes to an argument is read from the annotation of its
 * result.
 *
 * @param {string} schema
 */
const withoutAliases = (schema) => schema.replace(/\([a-z][!a-z|]*( -> [*a-z|]+)?\)/g, "");

/**
 * @param {string} annotated
 * @returns {Schema}
 */
function parseSchema(annotated) {
  const schema = withoutAliases(annotated);
  const open = schema.indexOf("(");
  const arrow = schema.lastIndexOf(" -> ");
  const returns = schema.slice(arrow + 4).replace(/^\((.*)\)$/, "$1");
  const writes = returns === "" || annotated.slice(annotated.lastIndexOf(" -> ")).includes("!");
  return {
    name: schema.slice(0, open).replace(/^aten::/, ""),
    args: splitTopLevel(schema.slice(open + 1, arrow - 1))
      .filter((text) => text !== "*")
      .map(parseArgument),
    writes,
    returns: splitTopLevel(returns).map((text) => typeOf(text.split(" ")[0] ?? "")),
  };
}

/**
 * @param {Pick<Schema, "writes" | "returns">} schema
 * @param {string} op
 * @returns {[type: string, body: string]}
 */
function returnOf({ writes, returns }, op) {
  if (writes) return ["void", `runInPlace(${op});`];
  if (returns.length === 1 && returns[0] === "Tensor") return ["Handle", `return run(${op});`];
  if (returns.length === 1 && returns[0] === "Tensor[]") return ["Handle[]", `return runList(${op});`];
  if (returns.every((type) => type === "Tensor"))
    return [
      `[${returns.map(() => "Handle").join(", ")}]`,
      `return runTuple(${op}, ${returns.length}) as [${returns.map(() => "Handle").join(", ")}];`,
    ];
  return ["number", `return runNumber(${op});`];
}

/**
 * The name of an argument in messages: "maxPool2d: kernelSize".
 *
 * @param {string} name
 * @param {string} operator
 */
const placeOf = (name, operator) => JSON.stringify(`${camel(operator.replace(/::/, "_").replace(/^_/, ""))}: ${name}`);

/** @param {string} type */
const typeFor = (type) => TYPES[type] ?? fail(`no TypeScript for ${type}`);

/**
 * The line of code that writes an argument to the arena.
 *
 * @param {Argument} argument
 * @param {string} operator
 */
const putOf = ({ type, name }, operator) => typeFor(type).put(name, placeOf(name, operator));

/**
 * The line of code that copies a list, if the argument is one.
 *
 * @param {Argument} argument
 * @param {string} operator
 */
const takeOf = ({ type, name }, operator) => typeFor(type).take?.(name, placeOf(name, operator)) ?? [];

/** @param {string} schemaText */
function emit(schemaText) {
  const schema = parseSchema(schemaText);
  const name = functionName(schema.name);
  const [operator = "", overload = ""] = schema.name.split(".");
  const given = schema.args.filter((argument) => !OMITTED.has(argument.type) && argument.name !== "pinMemory");
  const required = given.map((_argument, index) => given.slice(index).some((later) => later.fallback === undefined));
  const parameters = given.map(({ type, name: parameter, fallback }, index) => {
    const { ts } = TYPES[type] ?? fail(`${schema.name}: no TypeScript for ${type}`);
    if (required[index]) return `${parameter}: ${ts}`;
    return fallback === "undefined" ? `${parameter}?: ${ts}` : `${parameter}: ${ts} = ${fallback}`;
  });
  const puts = schema.args
    .filter(({ type }) => type !== "Generator?")
    .map((argument) => (given.includes(argument) ? putOf(argument, operator) : "arena[next++] = Number.NaN;"));
  const takes = given.flatMap((argument) => takeOf(argument, operator));
  const [result, finish] = returnOf(schema, `${name}Op`);
  return [
    `const ${name}Op = operator("${qualified(operator)}", "${overload}");`,
    `/** \`${schemaText}\` */`,
    `export function ${name}(${parameters.join(", ")}): ${result} {`,
    ...takes.map((line) => `  ${line}`),
    `  let next = 0;`,
    ...puts.map((line) => `  ${line}`),
    `  ${finish}`,
    `}`,
    ``,
  ].join("\n");
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(`generate-ops: ${message}`);
  process.exit(1);
}

/** The files from which the generated code imports its helpers. */
const HELPERS = {
  "../../engine/internal.ts": [
    "boolean",
    "float",
    "integer",
    "integers",
    "listOf",
    "optionalFloat",
    "optionalInteger",
    "optionalIntegers",
    "putList",
    "putOptionalList",
    "putOptionalScalar",
    "putScalar",
    "string",
    "arena",
    "type Handle",
    "intern",
    "operator",
    "run",
    "runInPlace",
    "runList",
    "runNumber",
    "runTuple",
    "type Scalar",
  ],
  "../core.ts": ["handleOf", "optionalHandle", "putTensors", "type TensorCore"],
};

/**
 * @param {string} file
 * @param {readonly string[]} helpers
 * @param {string} code
 */
function importOf(file, helpers, code) {
  const used = helpers.filter((helper) => new RegExp(`\\b${helper.replace("type ", "")}\\b`).test(code));
  return used.length > 0 ? [`import { ${used.join(", ")} } from "${file}";`] : [];
}

function main() {
  const addon = createRequire(import.meta.url)(join(root, "native/build/batch_cam.node"));
  const known = new Map(
    addon
      .schemas()
      .map((/** @type {string} */ schema) => [schema.slice(0, schema.indexOf("(")).replace(/^aten::/, ""), schema]),
  );
  const wanted = readFileSync(join(root, "scripts/ops.txt"), "utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith("#"));
  const bodies = wanted.map((name) => emit(known.get(name) ?? fail(`this libtorch has no operator ${name}`)));
  const used = bodies.join("\n");
  const source = [
    "// Generated by scripts/generate-ops.mjs from libtorch's operator schemas. Do not edit.",
    ...Object.entries(HELPERS).flatMap(([file, names]) => importOf(file, names, used)),
    "",
    used,
  ].join("\n");
  if (process.argv.includes("--check")) {
    if (readFileSync(target, "utf8") !== source) fail(`${target} is out of date: run node scripts/generate-ops.mjs`);
    return;
  }
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, source);
}

main();
