import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { addonKey, keepAddon, takeAddon, toolchainOf } from "../scripts/setup/addon-cache.mjs";
import { buildProgress, compilerJobs } from "../scripts/setup/jobs.mjs";
import { runNode } from "./support/node-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

let place: string;
let env: Record<string, string>;
beforeEach(() => {
  place = temporaryFolder("setup");
  env = { BATCH_CAM_CACHE: join(place, "cache") };
});
const kept = () => readdirSync(join(place, "cache/batch-cam/addons")).filter((name) => name.endsWith(".node"));

/** An addon of another package, which loads quickly. */
const loadable = (() => {
  const folder = "node_modules/@resvg";
  const name = readdirSync(folder).find((each) => each.startsWith("resvg-js-")) ?? "";
  const file = readdirSync(join(folder, name)).find((each) => each.endsWith(".node")) ?? "";
  return resolve(folder, name, file);
})();
const KEY = "0123456789abcdef".repeat(2);

describe("the cache of built addons", () => {
  const take = (key = KEY) => takeAddon(key, join(place, "taken.node"), { env, root: "." });

  it("returns the same bytes, and only for that key", async () => {
    expect(await take()).toBe(false);
    expect(keepAddon(KEY, loadable, { env })).toBeNull();
    expect(await take(KEY.replace("0", "f"))).toBe(false);
    expect(await take()).toBe(true);
    expect(readFileSync(join(place, "taken.node")).equals(readFileSync(loadable))).toBe(true);
  });

  it.each([
    ["is damaged", () => appendFileSync(join(place, "cache/batch-cam/addons", kept()[0] ?? ""), "?")],
    [
      "does not load",
      () => {
        for (const name of kept()) rmSync(join(place, "cache/batch-cam/addons", name));
        writeFileSync(join(place, "text"), "no addon");
        keepAddon(KEY, join(place, "text"), { env });
      },
    ],
  ])("removes an addon that %s, without using it", async (_, damage) => {
    keepAddon(KEY, loadable, { env });
    damage();
    expect(await take()).toBe(false);
    expect(readdirSync(place)).toEqual(["cache", ...(existsSync(join(place, "text")) ? ["text"] : [])]);
    expect(kept()).toEqual([]);
  });

  it("keeps the sixteen most recently used ones, and removes files that killed processes left a day ago", async () => {
    const folder = join(place, "cache/batch-cam/addons");
    const small = join(place, "small");
    const old = new Date(Date.now() - 2 * 86_400_000);
    for (let index = 0; index < 18; index++) {
      writeFileSync(small, String(index));
      keepAddon(index.toString(16).padStart(32, "0"), small, { env });
      const newest = kept().find((name) => name.startsWith(index.toString(16).padStart(32, "0"))) ?? "";
      utimesSync(join(folder, newest), old, new Date(old.getTime() + index * 1_000));
    }
    for (const name of [`${KEY}.lock.3`, `${KEY}.77.tmp`, "not-ours"]) {
      writeFileSync(join(folder, name), "");
      utimesSync(join(folder, name), old, old);
    }
    keepAddon(KEY, loadable, { env });
    expect(kept()).toHaveLength(16);
    expect(kept().map((name) => Number.parseInt(name.slice(0, 32), 16))).not.toContain(2);
    expect(readdirSync(folder).filter((name) => !name.endsWith(".node"))).toEqual(["not-ours"]);
  });

  it("names an addon by its sources, libtorch, compiler and the variables that change a build", () => {
    const file = join(place, "library");
    writeFileSync(file, "");
    const libtorch = { path: "/a", lib: "/a/lib", version: "2.11.0", library: file };
    const compiler = { identity: "g++ 12" };
    const key = (sources = "hash", changes: object = {}) =>
      addonKey(sources, toolchainOf({ libtorch, compiler, env, ...changes }));
    const keys = [
      key(),
      key("other"),
      key("hash", { libtorch: { ...libtorch, path: "/b", lib: "/b/lib" } }),
      key("hash", { libtorch: { ...libtorch, version: "2.12.0" } }),
      key("hash", { compiler: { identity: "clang 19" } }),
      key("hash", { env: { CXXFLAGS: "-g" } }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(key()).toBe(keys[0]);
    expect(keys.every((each) => /^[0-9a-f]{32}$/.test(each))).toBe(true);
  });
});

/** The libtorch that this checkout's addon was built against. */
const builtAgainst: string = JSON.parse(readFileSync("native/build/stamp.json", "utf8")).libtorch;

/** A fake cmake that "builds" by copying a file, takes some time, and counts its builds. */
const CMAKE = (calls: string) => `#!/bin/sh
PATH=/usr/bin:/bin
if [ "$1" = --build ]; then
  echo x >> '${calls}'
  sleep 1
  cp '${resolve("native/build/batch_cam.node")}' "$2/batch_cam.node"
fi
`;

function checkout(name: string): string {
  const root = join(place, name);
  mkdirSync(join(root, "native"), { recursive: true });
  for (const part of ["setup", "setup.mjs"])
    cpSync(join("scripts", part), join(root, "scripts", part), { recursive: true });
  for (const part of ["package.json", "native/CMakeLists.txt"]) cpSync(part, join(root, part));
  symlinkSync(resolve("node_modules"), join(root, "node_modules"));
  return root;
}

async function setUp(root: string, changes: Record<string, string> = {}) {
  const path = `${join(place, "bin")}:${process.env.PATH}`;
  const { code: status, err: said } = await runNode([join(root, "scripts/setup.mjs")], {
    env: { ...env, LIBTORCH: builtAgainst, PATH: path, ...changes },
  });
  return { status, said };
}

describe("set-up of several checkouts", () => {
  const builds = () => readFileSync(join(place, "calls"), "utf8").trim().split("\n").length;
  beforeEach(() => {
    mkdirSync(join(place, "bin"));
    writeFileSync(join(place, "bin/cmake"), CMAKE(join(place, "calls")));
    chmodSync(join(place, "bin/cmake"), 0o755);
  });

  it("compiles once if two run at the same time, and not at all for a third or without cmake", async () => {
    const both = await Promise.all([setUp(checkout("one")), setUp(checkout("two"))]);
    expect(both.map(({ status }) => status)).toEqual([0, 0]);
    expect(both.filter(({ said }) => /waiting for another set-up .* same addon/.test(said))).toHaveLength(1);
    rmSync(join(place, "bin/cmake"));
    const third = await setUp(checkout("three"), { PATH: "/nowhere", CXX: "/usr/bin/c++" });
    expect(third.said).toMatch(/addon: copied from the cache/);
    for (const name of ["one", "two", "three"]) {
      expect(existsSync(join(place, name, "native/build/batch_cam.node"))).toBe(true);
    }
    expect(builds()).toBe(1);
  });

  it("reports that the cache cannot be written, and continues without it", async () => {
    writeFileSync(join(place, "file"), "");
    const { status, said } = await setUp(checkout("one"), { BATCH_CAM_CACHE: join(place, "file") });
    expect(said).toMatch(/not stored for other checkouts/);
    expect(status).toBe(0);
  });
});

describe("a build", () => {
  const GiB = 1024 ** 3;

  it.each([
    [{}, 8, 32, 8],
    [{}, 8, 5, 2],
    [{}, 8, 1, 1],
    [{ CMAKE_BUILD_PARALLEL_LEVEL: "3" }, 8, 5, 3],
    [{ CMAKE_BUILD_PARALLEL_LEVEL: "" }, 2, 32, 2],
  ])(
    "with %o on %i cores and %i GiB of free memory compiles %i files at the same time",
    (variables, cores, memory, jobs) => {
      expect(compilerJobs(variables, { cores, memory: memory * GiB })).toBe(jobs);
    },
  );

  it.each(["many", "0", "-1", "1.5", "2 "])("refuses to compile %j files at the same time", (asked) => {
    expect(() => compilerJobs({ CMAKE_BUILD_PARALLEL_LEVEL: asked })).toThrow(
      `CMAKE_BUILD_PARALLEL_LEVEL is "${asked}", but it must be a whole number of at least 1`,
    );
  });

  it.each([
    ["[12/40] Building CXX object addon.cc.o", "12 of 40"],
    ["[ 50%] Building CXX object addon.cc.o", "20 of 40"],
    ["a warning", null],
  ])("reads its progress from %s", (line, expected) => {
    expect(buildProgress(line, 40)).toBe(expected);
  });
});
