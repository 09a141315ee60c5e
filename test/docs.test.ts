import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Command } from "../src/cli/command.ts";
import { flagsOf, parseFlags } from "../src/cli/flags.ts";
import { allCommands, flagNames } from "./support/commands.ts";
import { commandsIn, type Fence, fencesOf, inlineCodeOf, PAGES, ROOT, textOf } from "./support/markdown.ts";
import { runNode } from "./support/node-process.ts";
import { temporaryFolderInPackage } from "./support/temporary-folder.ts";

const { exports, scripts } = JSON.parse(textOf("package.json")) as {
  exports: Record<string, string | { default: string }>;
  scripts: Record<string, string>;
};
const fences = PAGES.flatMap((page) => fencesOf(page));

describe("TypeScript on the pages", () => {
  const snippets = fences.filter(({ language }) => /^(ts|typescript|js|javascript|mjs)$/.test(language));
  const fileOf = ({ place }: Fence) => `${place.replace(/[^\w]/g, "-")}.ts`;
  let said: string[];

  /** Maps the package's entries to the sources, so that no build is needed. */
  const paths = Object.fromEntries(
    Object.entries(exports).flatMap(([entry, target]) => {
      if (typeof target === "string") return [];
      const source = target.default.replace("./dist/", "src/").replace(/\.js$/, ".ts");
      return [[`batch-cam${entry.slice(1)}`, [join(ROOT, source)]]];
    }),
  );

  beforeAll(async () => {
    const folder = temporaryFolderInPackage("snippets");
    for (const snippet of snippets)
      writeFileSync(join(folder, fileOf(snippet)), `${snippet.context}\n${snippet.code}\nexport {};\n`);
    const compilerOptions = {
      ...{ strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, noUnusedLocals: true },
      ...{ module: "nodenext", target: "es2022", lib: ["es2023", "esnext.disposable"], types: ["node"], noEmit: true },
      ...{ skipLibCheck: true, allowImportingTsExtensions: true, erasableSyntaxOnly: true, paths },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const { out } = await runNode([join(ROOT, "node_modules/typescript/bin/tsc"), "-p", "."], { cwd: folder });
    said = out.split("\n");
  });

  it.each(snippets)("compiles with the strictest options ($place)", (snippet) => {
    // For a snippet that is part of a program, a comment `<!-- context ... -->` before it declares the code around it.
    expect(said.filter((line) => line.startsWith(fileOf(snippet)))).toEqual([]);
  });

  it("is the only code with compiler errors", () => {
    expect(said.filter((line) => line !== "" && !snippets.some((each) => line.startsWith(fileOf(each))))).toEqual([]);
  });
});

describe("commands on the pages", () => {
  let commands: Map<string, Command>;
  beforeAll(async () => {
    commands = await allCommands();
  });

  const shell = fences
    .filter(({ language }) => /^(|sh|bash|shell|console)$/.test(language))
    .flatMap(({ place, code }) => commandsIn(code).map((line) => ({ place, line: line.replace(/^\$ /, "") })));
  const inline = PAGES.flatMap((page) => inlineCodeOf(textOf(page)).map((line) => ({ place: page, line })));
  const all = [...shell, ...inline];

  const given = all.flatMap(({ place, line }) => {
    const [, words] = /^(?:npx |node bin\/)?batch-cam(?:\.mjs)? +(.+)$/.exec(line) ?? [];
    const whole = /^(\/|<command>|--?(help|version|h|v)\b|help\b)/; // an entry's name, a placeholder or a general flag: none of them names a command
    return words === undefined || whole.test(words) ? [] : [{ place, words }];
  });

  it.each(given)("are accepted by the command line: batch-cam $words ($place)", ({ words }) => {
    // Words in brackets are optional and removed. A word in capitals is a placeholder for a value; a number is accepted for any value.
    const [name = "", ...argv] = words
      .replace(/[[\]]/g, "")
      .replace(/ [A-Z]{1,4}\b/g, " 1")
      .split(/ +/);
    const command = commands.get(name);
    expect([...commands.keys()]).toContain(name);
    const { config, operand } = command as Command;
    const general = ["help", "config"].map((flag) => `--${flag}`);
    const own = argv.filter((word, i) => !general.includes(word) && argv[i - 1] !== "--config");
    expect(() => parseFlags(own, { flags: flagsOf(config), operand }, name)).not.toThrow();
  });

  it("name only flags that a command or a script has", () => {
    const known = new Set([...commands.values()].flatMap(flagNames));
    const programs = ["scripts", "bench"].flatMap((folder) =>
      readdirSync(join(ROOT, folder))
        .filter((name) => name.endsWith(".mjs"))
        .map((name) => readFileSync(join(ROOT, folder, name), "utf8")),
    );
    const ofScripts = (flag: string) =>
      programs.some((text) => new RegExp(`^\\s*"?${flag}"?: \\{ type: |--${flag}\\b`, "m").test(text));
    const own = inline.filter(({ line }) => !/^(?!batch-cam|npx|npm|node)[a-z]+ /.test(line)); // leaves out the flags of other programs
    const named = own.flatMap(({ place, line }) =>
      Array.from(line.matchAll(/(?<![\w-])--([a-z][a-z-]*[a-z])\b/g), ([, flag = ""]) => ({ place, flag })),
    );
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter(({ flag }) => !known.has(flag) && !ofScripts(flag))).toEqual([]);
  });

  it("name scripts and npm's commands that exist", () => {
    const missing = all.flatMap(({ place, line }) => {
      const [, script] = /^node ((?:scripts|bench|examples|bin)\/\S+)/.exec(line) ?? [];
      if (script !== undefined && !existsSync(join(ROOT, script))) return [`${place}: ${script}`];
      const [, run] = /^npm (?:run )?([a-z:]+)/.exec(line) ?? [];
      const own = ["ci", "install", "pack", "config"];
      return run === undefined || own.includes(run) || run in scripts ? [] : [`${place}: npm run ${run}`];
    });
    expect(missing).toEqual([]);
  });
});

describe("links on the pages", () => {
  it("point to files that exist", () => {
    const broken = PAGES.flatMap((page) =>
      Array.from(textOf(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g), ([, target = ""]) => target)
        .filter((target) => !existsSync(join(ROOT, dirname(page), target)))
        .map((target) => `${page}: ${target}`),
    );
    expect(broken).toEqual([]);
  });
});

describe("environment variables", () => {
  const sources = ["src", "scripts", "bench", "bin", "native"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(ts|mjs|cc|h)$/.test(name) && !/\.test\.ts$|^build\//.test(name))
      .map((name) => ({ file: `${folder}/${name}`, text: textOf(`${folder}/${name}`) })),
  );
  /** Variables that every program reads. */
  const COMMON = ["PATH"];
  const READS = [
    /(?<![\w.])(?:process\.|options\.)?env(?:\.|\[")([A-Z][A-Z\d_]+)/g,
    /getenv\("([A-Z][A-Z\d_]+)"\)/g,
    /(?<=["'\s{])(BATCH_CAM_[A-Z\d_]+)(?=["':=])/g,
  ];
  const read = sources.flatMap(({ file, text }) => {
    const patterns = file.startsWith("native/") ? READS.slice(1, 2) : READS;
    return patterns.flatMap((pattern) => Array.from(text.matchAll(pattern), ([, name = ""]) => ({ file, name })));
  });
  const documented = new Set(
    Array.from(textOf("CONTRIBUTING.md").matchAll(/^\| `([A-Z][A-Z\d_]+)`/gm), ([, name = ""]) => name),
  );

  it("that the sources read are documented in CONTRIBUTING.md", () => {
    expect(read.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["BATCH_CAM_KERNELS", "BATCH_CAM_BFLOAT16", "BATCH_CAM_CACHE", "BATCH_CAM_DEBUG"]),
    );
    expect(read.filter(({ name }) => !documented.has(name) && !COMMON.includes(name))).toEqual([]);
  });

  it("that CONTRIBUTING.md documents are read somewhere", () => {
    const tests = readdirSync(join(ROOT, "test")).filter((name) => name.endsWith(".test.ts"));
    const all = [...sources.map(({ text }) => text), ...tests.map((name) => textOf(`test/${name}`))];
    expect([...documented].filter((name) => !all.some((text) => text.includes(name)))).toEqual([]);
  });
});
