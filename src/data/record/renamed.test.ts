import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import type { SplitName } from "../splits/split.ts";
import { dataDifferences } from "./data-differences.ts";
import type { DataRecord } from "./data-record.ts";
import { missingFolders, renamings } from "./renamed.ts";

type Row = readonly [split: SplitName, className: string, hash: string, path?: string];

/** Makes a record of images; without `files` it is a record of images without paths. */
function record(rows: readonly Row[], classNames = [...new Set(rows.map(([, name]) => name))].sort()): DataRecord {
  const splits = ["train", "val", "test"].flatMap((split) => {
    const own = rows.filter(([name]) => name === split);
    const files = own.map(([, name, hash, path]) => ({
      ...{ path: path ?? `${name}/${hash}.png`, label: classNames.indexOf(name), hash },
    }));
    const classCounts = classNames.map((name) => own.filter(([, other]) => other === name).length);
    return own.length === 0 ? [] : [[split, { images: own.length, classCounts, digest: JSON.stringify(files), files }]];
  });
  const about = { dataset: "folder", channels: 1, imageSize: [4, 4], normalization: { mean: [0], std: [1] } } as const;
  return { ...about, classNames, valFraction: 0.1, source: null, splits: Object.fromEntries(splits) };
}

const images = (split: SplitName, name: string, count: number, from = 0): Row[] =>
  Array.from({ length: count }, (_, i) => [split, name, `${name}${from + i}`]);
const RUN = [
  ...[...images("train", "cat", 20), ...images("train", "dog", 20), ...images("train", "owl", 20)],
  ...[...images("val", "cat", 5, 50), ...images("val", "dog", 5, 50)],
  ...[...images("test", "cat", 5, 90), ...images("test", "dog", 5, 90)],
];
const renamed = (rows: readonly Row[], names: Readonly<Record<string, string>>) =>
  rows.map(([split, name, hash]): Row => [split, names[name] ?? name, hash]);
const resplit = (rows: readonly Row[], names: Readonly<Partial<Record<SplitName, SplitName>>>) =>
  rows.map(([split, ...rest]): Row => [names[split] ?? split, ...rest]);
const found = (rows: readonly Row[]) =>
  renamings(record(RUN), record(rows)).map(
    ({ kind, from, to, joined }) => `${kind} ${from} ${joined ? "in" : "to"} ${to}`,
  );

describe("a class or split of a run seems renamed", () => {
  it.each<[string, Row[], string[]]>([
    ["never for the same images", RUN, []],
    ["where its images have one new name", renamed(RUN, { cat: "kitten" }), ["class cat to kitten"]],
    [
      "where two exchanged their names",
      renamed(RUN, { cat: "dog", dog: "cat" }),
      ["class cat to dog", "class dog to cat"],
    ],
    [
      "where all did",
      renamed(RUN, { cat: "0", dog: "1", owl: "2" }),
      ["class cat to 0", "class dog to 1", "class owl to 2"],
    ],
    [
      "where some images are gone too",
      renamed(
        RUN.filter((_, i) => i % 3 > 0),
        { owl: "bird" },
      ),
      ["class owl to bird"],
    ],
    [
      "not where most images are gone",
      renamed(
        RUN.filter((_, i) => i % 3 === 0),
        { owl: "bird" },
      ),
      [],
    ],
    [
      "not where its images are there under the old name too",
      [...RUN, ...renamed(images("train", "cat", 20), { cat: "copy" })],
      [],
    ],
    ["not where a few images were moved", renamed(RUN.slice(0, 3), { cat: "dog" }).concat(RUN.slice(3)), []],
    ["as joined to one that was there", renamed(RUN, { cat: "dog" }), ["class cat in dog"]],
    ["as joined to a new one", renamed(RUN, { cat: "pet", dog: "pet" }), ["class cat in pet", "class dog in pet"]],
    [
      "where a split has another's name",
      resplit(RUN, { val: "test", test: "val" }),
      ["split val to test", "split test to val"],
    ],
    [
      "where a split took the place of one that is gone",
      resplit(
        RUN.filter(([split]) => split !== "test"),
        { val: "test" },
      ),
      ["split val to test"],
    ],
    ["not where a split went into another", resplit(RUN, { val: "train" }), []],
  ])("%s", (_, rows, expected) => expect(found(rows)).toEqual(expected));

  it("whichever class of whatever images it is, in any order, under any other names", () => {
    const rows = fc.array(
      fc.tuple(fc.constantFrom("train" as const, "test" as const), fc.integer({ min: 0, max: 3 })),
      {
        minLength: 1,
        maxLength: 40,
      },
    );
    fc.assert(
      fc.property(rows, fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), fc.boolean(), (drawn, order, shuffle) => {
        const own = drawn.map(([split, label], i): Row => [split, `c${label}`, `${i}`]);
        const now = renamed(own, Object.fromEntries(order.map((to, from) => [`c${from}`, `c${to}`])));
        const moved = renamings(record(own), record(shuffle ? [...now].reverse() : now));
        const classes = [...new Set(own.map(([, name]) => name))];
        expect(new Map(moved.map(({ from, to }) => [from, to]))).toEqual(
          new Map(
            classes.flatMap((name) =>
              order[Number(name[1])] === Number(name[1]) ? [] : [[name, `c${order[Number(name[1])]}`]],
            ),
          ),
        );
        for (const { found, images, joined } of moved) expect([found, joined]).toEqual([images, false]);
      }),
      { numRuns: 100 },
    );
  });

  it("by the classes' numbers where the images have no paths and their bytes are the same", () => {
    const bare = (classNames: string[]): DataRecord => {
      const { splits, ...rest } = record(RUN);
      const without = Object.entries(splits).map(([name, split]) => [name, { ...split, digest: name, files: null }]);
      return { ...rest, classNames, splits: Object.fromEntries(without) };
    };
    expect(renamings(bare(["a", "b", "c"]), bare(["a", "x", "c"]))).toEqual([
      { kind: "class", from: "b", to: "x", images: 30, found: 30, joined: false },
    ]);
    expect(renamings(bare(["a", "b", "c"]), bare(["a", "b", "c"]))).toEqual([]);
  });

  it("of a run that leaves out images of classes that it does not know", () => {
    const run = { ...record(RUN), leftOut: [] };
    const kept = RUN.filter(([, name]) => name !== "owl");
    const leftOut = images("train", "owl", 20).map(([, , hash]) => ({ path: hash, className: "bird", hash }));
    expect(renamings(run, { ...record(kept, ["cat", "dog", "owl"]), leftOut })).toMatchObject([
      { from: "owl", to: "bird" },
    ]);
  });

  it("which the differences say with numbers", () => {
    const now = renamed(RUN, { owl: "bird" }).slice(1);
    expect(dataDifferences(record(RUN), record(now))).toContain(
      'the class seems to have been renamed from "owl" to "bird": all its 20 images are under that name now',
    );
    const less = renamed(
      RUN.filter(([, , hash]) => hash !== "owl3"),
      { owl: "bird" },
    );
    expect(dataDifferences(record(RUN), record(less))).toContain(
      'the class seems to have been renamed from "owl" to "bird": 19 of its 20 images are under that name now',
    );
  });
});

it("names the outermost folders of a run's images that are not there any more", () => {
  const root = temporaryFolder("missing");
  for (const path of ["train/a", "train/b", "test/a"]) mkdirSync(join(root, path), { recursive: true });
  const run = record([
    ["train", "a", "1", "train/a/1.png"],
    ["train", "b", "2", "train/b/2.png"],
    ["test", "a", "3", "test/a/3.png"],
  ]);
  expect(missingFolders(run, root)).toBeNull();
  renameSync(join(root, "test"), join(root, "held"));
  expect(missingFolders(run, root)).toMatch(
    /^images of the run were in test\/, which does not exist now: if it was renamed/,
  );
  rmSync(join(root, "train/b"), { recursive: true });
  expect(missingFolders(run, root)).toMatch(/were in test\/, train\/b\/, which do not exist now: if they were renamed/);
});
