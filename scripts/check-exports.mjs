#!/usr/bin/env node
// Checks that a user can name every type of the package's signatures: a type of this project that a declaration of an entry mentions must
// be exported by that entry, or by the entry of the folder that declares it (Tensor belongs to batch-cam/tensor wherever it appears).
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { SyntaxKind } from "typescript/unstable/ast";
import { API, SymbolFlags } from "typescript/unstable/sync";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/**
 * @typedef {import("typescript/unstable/ast").Node} Node
 * @typedef {import("typescript/unstable/sync").Checker} Checker
 * @typedef {import("typescript/unstable/sync").Project} Project
 * @typedef {ReturnType<Checker["getAliasedSymbol"]>} CheckedSymbol
 * @typedef {{ entry: string, where: string, type: string, declared: string }} Fault
 */

/**
 * The types that the declarations of some entries mention and that no fitting entry exports.
 *
 * @param {string} folder of the declarations
 * @param {Readonly<Record<string, string>>} entries the file of each entry, relative to the folder
 * @returns {Fault[]}
 */
export function unnamedTypes(folder, entries) {
  const api = new API({ cwd: folder });
  try {
    const config = join(folder, "tsconfig.json");
    const files = Object.values(entries);
    writeFileSync(config, JSON.stringify({ compilerOptions: OPTIONS, files }));
    const snapshot = api.updateSnapshot({ openProjects: [config] });
    const project = snapshot.getProjects()[0];
    if (project === undefined) throw new Error(`check-exports: ${config} cannot be opened`);
    return faultsOf(project, folder, entries);
  } finally {
    api.close();
  }
}

const OPTIONS = {
  module: "nodenext",
  target: "es2023",
  types: ["node"],
  typeRoots: [join(ROOT, "node_modules/@types")],
};

/**
 * @param {Project} project
 * @param {string} folder
 * @param {Readonly<Record<string, string>>} entries
 */
function faultsOf(project, folder, entries) {
  const { program, checker } = project;
  const exported = new Map(
    Object.entries(entries).map(([entry, file]) => {
      const source = program.getSourceFile(join(folder, file));
      const symbol = source && checker.getSymbolAtLocation(source);
      if (symbol === undefined) throw new Error(`check-exports: ${file} exports nothing`);
      return [entry, { symbols: exportsOf(checker, symbol) }];
    }),
  );
  const exposed = [...exported.values()].flatMap(({ symbols }) => [...symbols.keys()]);
  const nameable = new Set(exposed.flatMap((symbol) => [symbol, ...renamed(project, symbol)]));
  /** @type {Fault[]} */
  const faults = [];
  for (const [entry, { symbols }] of exported)
    for (const [symbol, name] of symbols)
      for (const handle of symbol.declarations) {
        const declaration = handle.resolve(project);
        if (declaration === undefined || !isOwn(declaration, folder)) continue;
        for (const type of mentioned(checker, declaration)) {
          const place = type.declarations[0]?.resolve(project);
          if (place === undefined || !isOwn(place, folder) || nameable.has(type) || isOperation(place)) continue;
          const declared = relative(folder, place.getSourceFile().fileName).replace(/\.d\.ts$/, ".ts");
          faults.push({ entry, where: name, type: type.name, declared });
        }
      }
  const keys = new Set();
  return faults.filter(
    ({ entry, where, type }) => !keys.has(`${entry} ${where} ${type}`) && keys.add(`${entry} ${where} ${type}`),
  );
}

/**
 * The symbols of an entry under their names, those of its namespaces included.
 *
 * @param {Checker} checker
 * @param {CheckedSymbol} module
 * @param {string} prefix
 * @returns {Map<CheckedSymbol, string>}
 */
function exportsOf(checker, module, prefix = "") {
  const found = new Map();
  for (const one of checker.getExportsOfModule(module)) {
    const symbol = resolved(checker, one);
    found.set(symbol, `${prefix}${one.name}`);
    if ((symbol.flags & SymbolFlags.Module) !== 0)
      for (const [inner, name] of exportsOf(checker, symbol, `${one.name}.`)) found.set(inner, name);
  }
  return found;
}

/**
 * The type that an alias without parameters gives another name.
 *
 * @param {Project} project
 * @param {CheckedSymbol} symbol
 * @returns {CheckedSymbol[]}
 */
function renamed(project, symbol) {
  return symbol.declarations.flatMap((handle) => {
    const declaration = /** @type {any} */ (handle.resolve(project));
    if (declaration?.kind !== SyntaxKind.TypeAliasDeclaration) return [];
    const { type } = declaration;
    if (type.kind !== SyntaxKind.TypeReference || (type.typeArguments?.length ?? 0) > 0) return [];
    const target = project.checker.getSymbolAtLocation(/** @type {Node} */ (nameOf(type)));
    return target === undefined ? [] : [resolved(project.checker, target)];
  });
}

/**
 * Whether a type is an operation on types, such as `Together<Union>`, which is replaced by its result, so that its name is not needed.
 * @param {any} node
 */
const isOperation = (node) => node.kind === SyntaxKind.TypeAliasDeclaration && (node.typeParameters?.length ?? 0) > 0;

/** @param {Checker} checker @param {CheckedSymbol} symbol */
const resolved = (checker, symbol) =>
  (symbol.flags & SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);

/** @param {Node} node @param {string} folder */
const isOwn = (node, folder) => node.getSourceFile().fileName.startsWith(`${folder}/`);

/**
 * The named types in a declaration, without its private members, whose types are not declared, and without protected ones, which are for
 * the package's own subclasses.
 *
 * @param {Checker} checker
 * @param {Node} declaration
 * @returns {CheckedSymbol[]}
 */
function mentioned(checker, declaration) {
  /** @type {Node[]} */
  const names = [];
  /** @param {Node} node */
  const visit = (node) => {
    if (isProtected(node)) return;
    const name = nameOf(node);
    if (name !== undefined) names.push(name);
    node.forEachChild(visit);
  };
  declaration.forEachChild(visit);
  return names.flatMap((name) => {
    const symbol = checker.getSymbolAtLocation(name);
    if (symbol === undefined || (symbol.flags & SymbolFlags.TypeParameter) !== 0) return [];
    return [resolved(checker, symbol)];
  });
}

/** @param {any} node */
const isProtected = (node) =>
  node.modifiers?.some((/** @type {Node} */ one) => one.kind === SyntaxKind.ProtectedKeyword) ?? false;

/** The node of the name by which a declaration mentions a type. @param {any} node @returns {Node | undefined} */
function nameOf(node) {
  switch (node.kind) {
    case SyntaxKind.TypeReference:
      return node.typeName.kind === SyntaxKind.QualifiedName ? node.typeName.right : node.typeName;
    case SyntaxKind.ExpressionWithTypeArguments:
      return node.expression;
    case SyntaxKind.ImportType:
      return node.qualifier?.kind === SyntaxKind.QualifiedName ? node.qualifier.right : node.qualifier;
    default:
      return undefined;
  }
}

/** The declaration file of each entry of the package, relative to dist/. @returns {Record<string, string>} */
function entriesOf() {
  const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const typed = Object.entries(exports).filter(([, target]) => typeof target === "object");
  return Object.fromEntries(
    typed.map(([path, { types }]) => [`batch-cam${path.slice(1)}`, types.replace(/^\.\/dist\//, "")]),
  );
}

function main() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "batch-cam-exports-")));
  try {
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    const emit = [
      "-p",
      "tsconfig.build.json",
      "--emitDeclarationOnly",
      "--declarationMap",
      "false",
      "--outDir",
      folder,
    ];
    execFileSync(process.execPath, [compiler, ...emit], { cwd: ROOT, stdio: "inherit" });
    const entries = entriesOf();
    const faults = unnamedTypes(folder, entries);
    for (const { entry, where, type, declared } of faults)
      process.stdout.write(`${entry}: ${where} mentions ${type} (src/${declared}), which no entry exports\n`);
    if (faults.length > 0) process.exitCode = 1;
    else process.stdout.write(`exports: ${Object.keys(entries).length} entries export every type that they mention\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main();
