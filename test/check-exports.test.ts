import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { unnamedTypes } from "../scripts/check-exports.mjs";
import { once } from "./support/once.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const root = temporaryFolder("exports");

const INNER = `
export interface Options { size: number }
export interface Result { options: Options }
export type Both<A, B> = A & B;
export declare class Base {}
export declare class Net extends Base { private secret; protected own: Options; made(): Result }
export declare function make(options: Options): Promise<Result[]>;
`;

/** The name of the case, the declarations of entry a and entry b, and the expected faults. */
const CASES: readonly (readonly [name: string, a: string, b: string | undefined, faults: readonly string[]])[] = [
  ["nothing to name", "export declare function f(a: string, b: Map<string, number>): Promise<void>;", undefined, []],
  [
    "a parameter and a result",
    'export { make } from "./inner.js";',
    undefined,
    ["a: make: Options", "a: make: Result"],
  ],
  ["types of the same entry", 'export { make, type Options, type Result } from "./inner.js";', undefined, []],
  [
    "types of another entry",
    'export { make, type Options } from "./inner.js";',
    'export type { Result } from "./inner.js";',
    [],
  ],
  [
    "a base class and a method, not what is protected",
    'export { Net } from "./inner.js";',
    undefined,
    ["a: Net: Base", "a: Net: Result"],
  ],
  ["a field of an interface", 'export type { Result } from "./inner.js";', undefined, ["a: Result: Options"]],
  [
    "a type under another name",
    'import type { Options as Own } from "./inner.js";\nexport type Options = Own;\nexport type { Result } from "./inner.js";',
    undefined,
    [],
  ],
  [
    "an operation on types, but not its arguments",
    'import type { Both, Options } from "./inner.js";\nexport type Sized = Both<Options, { name: string }>;',
    undefined,
    ["a: Sized: Options"],
  ],
  ["names of a namespace", 'export * as inner from "./inner.js";', undefined, []],
  ["an imported type", 'export declare const made: import("./inner.js").Result;', undefined, ["a: made: Result"]],
];

const folderOf = (name: string) => name.replaceAll(/\W/g, "-");

/**
 * The faults of all cases. Each case is in a folder of its own with a file that is not an entry, so that the compiler
 * starts only once.
 */
const faults = once(async () => {
  writeFileSync(join(root, "package.json"), '{ "type": "module" }');
  const entries: Record<string, string> = {};
  for (const [name, a, b = "export {};"] of CASES) {
    const folder = folderOf(name);
    mkdirSync(join(root, folder));
    for (const [file, text] of Object.entries({ inner: INNER, a, b }))
      writeFileSync(join(root, folder, `${file}.d.ts`), text);
    for (const entry of ["a", "b"]) entries[`${folder} ${entry}`] = `${folder}/${entry}.d.ts`;
  }
  return unnamedTypes(root, entries);
});

it.each(CASES)("finds %s", async (name, _, __, expected) => {
  const own = (await faults()).filter(({ entry }) => entry.startsWith(`${folderOf(name)} `));
  expect(own.map(({ entry, where, type }) => `${entry.at(-1)}: ${where}: ${type}`)).toEqual(expected);
});
