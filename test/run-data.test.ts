import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TrainConfigInput } from "../src/config/index.ts";
import { loadDataset, type Split, selectImages } from "../src/data/index.ts";
import type { DataRecord, RecordedImage } from "../src/data/record/data-record.ts";
import { tensor } from "../src/tensor/index.ts";
import { type RunData, readRunData } from "../src/train/data/run-data.ts";
import { evaluate, type TrainEvent, train } from "../src/train.ts";
import { cli } from "./support/cli.ts";
import { drawClass, drawImage } from "./support/image-folder.ts";
import { npy, zip } from "./support/npz-file.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const outer = temporaryFolder("run-data");
const place = process.cwd();
const cacheBefore = process.env.BATCH_CAM_CACHE;
/** A run that is trained once and copied by each test. */
const original = join(outer, "original");
let home: string;

beforeAll(async () => {
  process.env.BATCH_CAM_CACHE = join(outer, "cache");
  for (const name of ["bird", "cat", "dog"]) await drawClass(join(original, "photos"), name, { count: 24 });
  process.chdir(original);
  const { code, err } = await cli("train", ...OPTIONS, "--experiment", "run");
  expect([code, err.split("\n").filter((line) => !line.startsWith("warning: "))]).toEqual([0, [""]]);
}, 120_000);
beforeEach(({ task }) => {
  home = join(outer, String(task.id));
  cpSync(original, home, { recursive: true, preserveTimestamps: true });
  process.chdir(home);
});
afterAll(() => {
  process.chdir(place);
  if (cacheBefore === undefined) delete process.env.BATCH_CAM_CACHE;
  else process.env.BATCH_CAM_CACHE = cacheBefore;
}, 60_000);

const DATA = ["--dataset", "folder", "--data-dir", "photos", "--image-size", "16", "--image-channels", "1"];
const OPTIONS = [
  ...DATA,
  ...["--epochs", "2", "--batch-size", "16", "--plain", "--no-figures", "--threads", "1", "--amp", "off"],
  ...["--lambda-warmup", "0"],
];

const QUICK = ["--limit", "6", "--steps", "2", "--no-randomise"];
const judge = (...more: string[]) => cli("evaluate", "runs/run", ...QUICK, ...more);
const classification = () => JSON.parse(readFileSync("runs/run/evaluation.json", "utf8")).classification;

async function explained(...argv: string[]) {
  const { code, err } = await cli("explain", "--run", "runs/run", "--no-overlays", "--no-grid", ...argv);
  const manifest = existsSync("explanations/manifest.json") ? readFileSync("explanations/manifest.json", "utf8") : "{}";
  return { code, err, manifest: JSON.parse(manifest) };
}

const SMALL = {
  ...{ dataset: "folder", dataDir: "photos", imageSize: 16, imageChannels: 1, epochs: 4, batchSize: 8, plain: true },
  ...{ figures: false, threads: 1, amp: "off", logEvery: 1 },
} as const satisfies TrainConfigInput;

/** Trains to a step and stops. */
async function stopped(step: number, more: TrainConfigInput = {}) {
  const stop = new AbortController();
  const config = { ...SMALL, experiment: "cut", ...more };
  const onEvent = (event: TrainEvent) => void (event.type === "step" && event.step >= step && stop.abort());
  await train(config, { signal: stop.signal, onEvent });
}

describe("the record of a run's data", () => {
  it("is in data.json: classes, counts, size, normalisation, and each image's path and content", async () => {
    const { record, plan } = (await readRunData("runs/run")) as RunData;
    expect(record).toMatchObject({ classNames: ["bird", "cat", "dog"], channels: 1, imageSize: [16, 16] });
    expect(record.normalization.mean).toHaveLength(1);
    const splits = Object.values(record.splits);
    expect(splits.reduce((sum, { images }) => sum + images, 0)).toBe(72);
    for (const { images, classCounts, files, digest } of splits) {
      expect(classCounts.reduce((sum, count) => sum + count, 0)).toBe(images);
      expect(files).toHaveLength(images);
      expect(digest).toMatch(/^[0-9a-f]{64}$/);
    }
    expect(plan.stepsPerEpoch).toBe(Math.ceil((record.splits.train?.images ?? 0) / 16));
    expect(readdirSync("runs/run").filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});

it("is written before config.json: a kill between them does not leave a run, and a new one replaces it", async () => {
  mkdirSync("runs/begun");
  cpSync("runs/run/data.json", "runs/begun/data.json");
  expect((await judge()).code).toBe(0);
  const { code, err } = await cli("evaluate", "runs/begun");
  expect([code, err]).toEqual([2, expect.stringMatching(/is not a finished run: it has no .*config\.json/)]);
  await train({ ...SMALL, epochs: 1, experiment: "begun" });
  expect((await readRunData("runs/begun"))?.plan).toMatchObject({ otherData: false });
});

interface Case {
  name: string;
  change: () => Promise<void> | void;
  said: RegExp;
}

const CHANGES: Case[] = [
  {
    name: "a class folder has another name",
    change: () => renameSync("photos/cat", "photos/kitten"),
    said: /class "cat" of the run is missing; class "kitten" is new; the class seems to have been renamed from "cat" to "kitten": all its 24 images .*relabelled \(kitten.*rename the class "kitten" back to "cat"; if the new name is meant, start a new run/,
  },
  {
    name: "a renamed folder changes the order of the classes",
    change: () => renameSync("photos/bird", "photos/zebra"),
    said: /class "bird" of the run is missing; class "zebra" is new; .*rename the class "zebra" back to "bird"/,
  },
  {
    name: "two class folders exchanged their names",
    change: () => {
      for (const [from, to] of ["cat x", "dog cat", "x dog"].map((pair) => pair.split(" ")))
        renameSync(`photos/${from}`, `photos/${to}`);
    },
    said: /renamed from "cat" to "dog".*renamed from "dog" to "cat".*rename the class "dog" back to "cat" and .*--accept-new-data would leave/,
  },
  {
    name: "images were added",
    change: () => drawClass("photos", "cat", { count: 3, from: 100 }),
    said: /\d images? added \(cat\/10\d\.png/,
  },
  {
    name: "images are gone",
    change: () => {
      for (const i of [1, 2]) rmSync(`photos/dog/${i}.png`);
    },
    said: /images? gone \(dog\/[12]\.png/,
  },
  {
    name: "a file has other bytes under its old name",
    change: () => drawImage("photos/dog/5.png", { shade: 181, mark: 7 }),
    said: /1 image changed \(dog\/5\.png\)/,
  },
  {
    name: "an image is in another class's folder",
    change: () => renameSync("photos/dog/5.png", "photos/cat/905.png"),
    said: /1 image relabelled \(cat\/905\.png\)/,
  },
  {
    name: "it is another data set",
    change: async () => {
      rmSync("photos", { recursive: true });
      for (const name of ["bird", "cat", "dog"]) await drawClass("photos", name, { count: 8, from: 500 });
    },
    said: /images gone .*images added|images added .*images gone/,
  },
];

describe.each(CHANGES)("where $name", ({ change, said }) => {
  it("evaluate, explain --split and resume name the difference and refuse it", async () => {
    await change();
    for (const { code, err, out } of [
      await judge(),
      { out: "", ...(await explained("--split", "test")) },
      await cli("train", "--resume", "runs/run", "--deterministic"),
      await cli("report", "runs/run"),
    ]) {
      expect([code, out], err).toEqual([2, ""]);
      expect(err.trim().split("\n")).toHaveLength(1);
      expect(err).toMatch(/photos differ from those of the run runs\/run: /);
      expect(err).toMatch(said);
      expect(err).toMatch(/--data-dir.*--accept-new-data/);
    }
    expect(existsSync("runs/run/evaluation.json")).toBe(false);
  });
});

it("names a split that was renamed, in a table and in a folder, even if its new name is not that of a split", async () => {
  for (const split of ["train", "val", "test"])
    for (const [i, name] of ["cat", "dog"].entries())
      await drawClass(join("sorted", split), name, { count: 4, from: 10 * split.length + i });
  const rows = readdirSync("sorted").flatMap((split) =>
    ["cat", "dog"].flatMap((name) =>
      readdirSync(join("sorted", split, name)).map((file) => `sorted/${split}/${name}/${file},${name},${split}`),
    ),
  );
  writeFileSync("set.csv", ["path,label,split", ...rows].join("\n"));
  for (const [dataset, dataDir] of Object.entries({ csv: "set.csv", folder: "sorted" }) as ["csv" | "folder", string][])
    await train({ ...SMALL, dataset, dataDir, epochs: 1, experiment: dataset });
  const table = readFileSync("set.csv", "utf8");
  writeFileSync(
    "set.csv",
    table
      .replace(/,val$/gm, ",other")
      .replace(/,test$/gm, ",val")
      .replace(/,other$/gm, ",test"),
  );
  const swapped = await cli("evaluate", "runs/csv", ...QUICK);
  expect(swapped.err).toMatch(
    /the split seems to have been renamed from "val" to "test".*rename the split "test" back to "val" and /,
  );
  writeFileSync("set.csv", table.replace(/,cat,/g, ",kitten,"));
  const label = await cli("evaluate", "runs/csv", ...QUICK);
  expect(label.err).toMatch(
    /class seems to have been renamed from "cat" to "kitten": all its 12 images.*rename the class "kitten"/,
  );
  for (const name of ["train", "val", "test"]) {
    renameSync(`sorted/${name}`, "sorted/held");
    const { code, err } = await cli("evaluate", "runs/folder", ...QUICK);
    renameSync("sorted/held", `sorted/${name}`);
    expect(code).toBe(2);
    expect(err).toContain(
      `images of the run were in ${name}/, which does not exist now: if it was renamed, rename it back`,
    );
  }
});

describe("--accept-new-data", () => {
  it("also evaluates added images, none of which the run was trained on, and reports what was accepted", async () => {
    const { record } = (await readRunData("runs/run")) as RunData;
    for (const name of ["bird", "cat", "dog"]) await drawClass("photos", name, { count: 12, from: 300 });
    const { code, err } = await judge("--accept-new-data");
    expect(code, err).toBe(0);
    expect(err).toMatch(/warning: the data differ from those of the run \(.*added/);
    const before = record.splits.test?.images ?? 0;
    expect(classification().images).toBeGreaterThan(before);
    const { manifest } = await explained("--split", "test", "--limit", "999", "--accept-new-data");
    const judged = new Set(manifest.images.map(({ name }: { name: string }) => name));
    for (const { path } of record.splits.train?.files ?? []) expect(judged.has(path)).toBe(false);
    for (const { path } of record.splits.test?.files ?? []) expect(judged.has(path)).toBe(true);
    const { data } = JSON.parse(readFileSync("runs/run/evaluation.json", "utf8"));
    expect(data.join("; ")).toMatch(/test: \d+ images added/);
  });

  it("keeps the run's classes in their order, and leaves out images of an unknown class", async () => {
    await drawClass("photos", "ant", { count: 10, shade: 220 });
    const { code, err } = await judge("--accept-new-data");
    expect(code, err).toBe(0);
    expect(err).toMatch(/left out: \d+ test images? of "ant", a class that the run does not know/);
    const accuracy = classification().accuracy;
    rmSync("photos/ant", { recursive: true });
    expect((await judge()).code).toBe(0);
    expect(classification().accuracy).toBe(accuracy);
  });

  it("leaves images that the run was trained on out of the test split, even if they were renamed", async () => {
    const { record } = (await readRunData("runs/run")) as RunData;
    const trained = (record.splits.train?.files ?? []).slice(0, 6);
    mkdirSync("sorted");
    cpSync("photos", "sorted/train", { recursive: true });
    for (const { path } of trained) cpSync(join("photos", path), join("sorted/test", path.replace("/", "/again-")));
    for (const { path } of record.splits.test?.files ?? []) cpSync(join("photos", path), join("sorted/test", path));
    const { code, err } = await judge("--data-dir", "sorted", "--accept-new-data");
    expect(code, err).toBe(0);
    expect(err).toMatch(/left out: 6 test images that the run was trained or selected on/);
    expect(classification().images).toBe(record.splits.test?.images);
  });

  it("never evaluates on an image that the run was trained on, whatever its path is now", async () => {
    const { record } = (await readRunData("runs/run")) as RunData;
    const tested = (record.splits.test?.files ?? []).slice(0, 7);
    const trained = (record.splits.train?.files ?? []).slice(0, 7);
    cpSync("photos", "swap", { recursive: true });
    for (const [i, { path }] of tested.entries()) {
      const other = (trained[i] as { path: string }).path;
      cpSync(join("photos", other), join("swap", path));
      cpSync(join("photos", path), join("swap", other));
    }
    const { code, err } = await judge("--data-dir", "swap", "--accept-new-data");
    expect(code, err).toBe(0);
    expect(err).toContain(`left out: ${tested.length} test images that the run was trained or selected on`);
    expect(classification().images).toBe((record.splits.test?.images ?? 0) - tested.length);
  });

  it("records what a run has used and left out, so that the same data do not count as changed later", async () => {
    await stopped(9);
    const before = (await readRunData("runs/cut")) as RunData;
    const contents = (record: DataRecord, name: "train" | "val" | "test") =>
      (record.splits[name]?.files ?? []).map(({ hash }) => hash);
    const seen = new Set([...contents(before.record, "train"), ...contents(before.record, "val")]);
    // The data are now sorted into splits, with a new class, and the test folder contains some images that the run used.
    const [[known], [own]] = [before.record.splits.train?.files ?? [], before.record.splits.test?.files ?? []] as [
      RecordedImage[],
      RecordedImage[],
    ];
    for (const { path } of [...(before.record.splits.train?.files ?? []), ...(before.record.splits.val?.files ?? [])])
      cpSync(join("photos", path), join("sorted/train", path));
    for (const { path } of before.record.splits.test?.files ?? [])
      cpSync(join("photos", path), join("sorted/test", path));
    cpSync(join("photos", (known as RecordedImage).path), "sorted/test/cat/known.png");
    for (const part of ["train", "test"])
      await drawClass(`sorted/${part}`, "ant", { count: 3, from: part.length * 10 });
    await drawImage("sorted/train/cat/new.png", { shade: 130, mark: 9 });
    cpSync("sorted/train/cat/new.png", "sorted/test/cat/new.png");
    const resumed = await cli(
      ...["train", "--resume", "runs/cut", "--data-dir", "sorted", "--accept-new-data", "--figures"],
    );
    expect(resumed.code, resumed.err).toBe(0);
    expect(resumed.err).toMatch(/left out: 2 test images that the run was trained or selected on/);
    expect(resumed.err).not.toMatch(/the report could not be written/);
    expect(JSON.parse(readFileSync("runs/cut/config.json", "utf8"))).toMatchObject({ acceptNewData: false });
    for (const name of ["README.md", "report.html"]) {
      const page = readFileSync(join("runs/cut", name), "utf8");
      expect(page).toMatch(
        /cannot be repeated exactly by one command, because its data changed at epoch 2, after step 9/,
      );
      expect(page).toMatch(/acceptNewData<?.*true/);
      expect(page).not.toMatch(/trains it again|should give the same numbers/);
    }
    for (const argv of [
      ["evaluate", "runs/cut", ...QUICK],
      ["report", "runs/cut"],
      ["train", "--resume", "runs/cut"],
    ]) {
      const { code, err } = await cli(...argv);
      expect(code, `${argv}: ${err}`).toBe(0);
      expect(err).not.toMatch(/left out: .*(trained|does not know)|differ from those of the run/);
    }
    const after = (await readRunData("runs/cut")) as RunData;
    expect(contents(after.record, "test").filter((hash) => seen.has(hash))).toEqual([]);
    expect(after.record.leftOut?.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["test/cat/known.png", "test/cat/new.png", "train/ant/50.png"]),
    );
    // An image that the run was once trained on stays known, even if it was missing for a while.
    rmSync(join("sorted/train", (known as RecordedImage).path));
    const again = await cli("train", "--resume", "runs/cut", "--accept-new-data");
    expect(again.code, again.err).toBe(0);
    cpSync(join("photos", (known as RecordedImage).path), join("sorted/test", (own as RecordedImage).path));
    const judged = await cli("evaluate", "runs/cut", ...QUICK, "--accept-new-data");
    expect(judged.err).toMatch(/left out: 3 test images that the run was trained or selected on/);
    expect((await cli("evaluate", "runs/cut", ...QUICK)).err).toMatch(/images that the run leaves out: 1 added/);
  });

  it("leaves every row of training images out of the test images of arrays, whatever its index", async () => {
    const { train: all } = await loadDataset("mnist");
    const rows = (from: number, count: number) => {
      const images = all.images.narrow(0, from, count);
      const bytes = Buffer.from(images.data() as Uint8Array);
      images.dispose();
      return { bytes, labels: Array.from((all.labels.data() as BigInt64Array).slice(from, from + count), Number) };
    };
    const write = (path: string, parts: Record<string, ReturnType<typeof rows>>) =>
      writeFileSync(
        path,
        zip(
          Object.fromEntries(
            Object.entries(parts).flatMap(([name, { bytes, labels }]) => [
              [`${name}_images.npy`, npy("|u1", [labels.length, 28, 28], bytes)],
              [`${name}_labels.npy`, npy("|u1", [labels.length, 1], Buffer.from(labels))],
            ]),
          ),
        ),
      );
    const [train200, val, test] = [rows(0, 200), rows(200, 40), rows(240, 40)];
    write("own.npz", { train: train200, val, test });
    const config = { ...SMALL, dataset: "npz", dataDir: "own.npz", epochs: 1, experiment: "npz" } as const;
    const { imageSize: _, imageChannels: __, ...npz } = config;
    await train(npz);
    write("twice.npz", { train: train200, val, test: { ...train200 } });
    const options = { dataDir: "twice.npz", acceptNewData: true };
    await expect(evaluate("runs/npz", options)).rejects.toThrow(
      /no image of test is left .*left out: 200 test images that the run was trained or selected on/,
    );
    const both = { bytes: Buffer.concat([test.bytes, train200.bytes, train200.bytes]) };
    write("mixed.npz", {
      ...{ train: train200, val },
      test: { ...both, labels: [...test.labels, ...train200.labels, ...train200.labels] },
    });
    expect((await evaluate("runs/npz", { ...options, dataDir: "mixed.npz" })).test.images).toBe(40);
  });

  it("continues with the run's own plan: the schedule is not stretched, and images stay in their splits", async () => {
    await stopped(9, { sched: "cosine" });
    const before = (await readRunData("runs/cut")) as RunData;
    for (const name of ["bird", "cat", "dog"]) await drawClass("photos", name, { count: 30, from: 300 });
    const rates = new Map<number, number>();
    const warnings: string[] = [];
    const result = await train(
      { resume: "runs/cut", acceptNewData: true },
      {
        onEvent: (event) => {
          if (event.type === "step") rates.set(event.step, event.metrics.lr);
          if (event.type === "warning") warnings.push(event.message);
        },
      },
    );
    const { stepsPerEpoch } = before.plan;
    expect(result.step).toBe(4 * stepsPerEpoch);
    for (const [step, rate] of rates)
      expect(rate).toBeCloseTo((1e-3 * (1 + Math.cos((Math.PI * (step - 1)) / (4 * stepsPerEpoch)))) / 2, 9);
    expect(warnings.join("\n")).toMatch(
      /keeps its prototypes and its learning-rate schedule; an epoch still has \d+ steps/,
    );
    const after = (await readRunData("runs/cut")) as typeof before;
    expect(after.plan).toEqual({ ...before.plan, otherData: true });
    for (const name of ["train", "val", "test"] as const) {
      const paths = (after.record.splits[name]?.files ?? []).map(({ path }) => path);
      expect(paths).toEqual(expect.arrayContaining((before.record.splits[name]?.files ?? []).map(({ path }) => path)));
      expect(paths.length).toBeGreaterThan(before.record.splits[name]?.images ?? 0);
    }
    expect(after.record.normalization).toEqual(before.record.normalization);
    expect((await cli("evaluate", "runs/cut", ...QUICK)).code).toBe(0);
  });

  it("ends before the schedule if images are gone, with a warning", async () => {
    await stopped(9, { sched: "cosine" });
    for (const name of ["bird", "cat", "dog"]) for (let i = 0; i < 12; i++) rmSync(`photos/${name}/${i}.png`);
    const warnings: string[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
    const before = (await readRunData("runs/cut")) as RunData;
    const result = await train({ resume: "runs/cut", acceptNewData: true }, { onEvent });
    expect(result).toMatchObject({ interrupted: false, endedBy: "epochs" });
    expect(result.history.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
    expect(result.step).toBeLessThan(4 * before.plan.stepsPerEpoch);
    expect(warnings.join("\n")).toMatch(
      /an epoch has \d+ steps instead of the planned \d+, so that the run ends before/,
    );
  });

  it("refuses to continue if a class of the run has no image any more", async () => {
    await stopped(5);
    renameSync("photos/cat", "photos/kitten");
    const { code, err } = await cli("train", "--resume", "runs/cut", "--accept-new-data");
    expect(code).toBe(2);
    expect(err).toMatch(
      /no image is left to train on for "cat".*renamed from "cat" to "kitten".*rename the class "kitten"/,
    );
  });

  it.each([
    ["a new run", ["--experiment", "new", "--accept-new-data"], /false without --resume/],
    [
      "a deterministic run",
      ["--resume", "runs/run", "--deterministic", "--accept-new-data"],
      /false with --deterministic/,
    ],
  ])("is refused with %s", async (_, argv, said) => {
    const { code, err } = await cli("train", ...argv);
    expect(code).toBe(2);
    expect(err).toMatch(said);
  });
});

type Part = readonly [string, Set<string>];

describe("equal images under several names", () => {
  const parts = (record: DataRecord) =>
    Object.entries(record.splits).map(
      ([name, split]) => [name, new Set(split.files?.map(({ hash }) => hash))] as const,
    );

  it("are in one split if it is drawn at random, also if a row of a table is given twice", async () => {
    for (const name of ["bird", "cat", "dog"])
      for (let i = 0; i < 24; i += 2) linkSync(`photos/${name}/${i}.png`, `photos/${name}/again-${i}.png`);
    const names = readdirSync("photos").flatMap((name) =>
      readdirSync(`photos/${name}`).map((file) => `${name}/${file}`),
    );
    const rows = names.map((path) => `photos/${path},${path.split("/")[0]}`);
    writeFileSync("set.csv", ["path,label", ...rows, ...rows].join("\n"));
    for (const [dataset, dataDir] of [
      ["folder", "photos"],
      ["csv", "set.csv"],
    ] as const) {
      const warnings: string[] = [];
      const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
      await train({ ...SMALL, dataset, dataDir, epochs: 1, experiment: dataset }, { onEvent });
      const { record } = (await readRunData(`runs/${dataset}`)) as RunData;
      const [[, one], [, two], [, three]] = parts(record) as [Part, Part, Part];
      expect(new Set([...one, ...two, ...three]).size).toBe(72);
      expect(one.size + two.size + three.size).toBe(72);
      expect(Object.values(record.splits).reduce((sum, { images }) => sum + images, 0)).toBe(108);
      expect(warnings.join("\n")).not.toMatch(/images are also in a split/);
      expect(warnings.join("\n")).toMatch(
        /images are copies of other images of the same split and class: \d+ of train/,
      );
      if (dataset === "csv")
        expect(warnings.join("\n")).toMatch(/108 rows name an image that an earlier row names too/);
    }
  });

  it("are reported once, with their number, if the files put them into two splits", async () => {
    cpSync("photos", "sorted/train", { recursive: true });
    for (const i of [1, 2, 3]) cpSync(`photos/cat/${i}.png`, `sorted/test/cat/other-${i}.png`);
    await drawClass("sorted/test", "dog", { count: 3, from: 700 });
    const warnings: string[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
    await train({ ...SMALL, dataDir: "sorted", epochs: 1, experiment: "shared" }, { onEvent });
    const own = warnings.filter((message) => message.includes("images are also in a split"));
    expect(own).toEqual([
      expect.stringMatching(/3 of test \(test\/cat\/other-1\.png is the same picture as \w+\/cat\/1\.png; .*other-3/),
    ]);
    const again = { ...SMALL, dataDir: "sorted", experiment: "shared", resume: true };
    warnings.length = 0;
    await train({ ...again, epochs: 2 }, { onEvent });
    expect(warnings.join("\n")).not.toMatch(/images are also in a split/);
    expect(warnings.join("\n")).toMatch(
      /\d+ warnings? about the data (is|are) the same as before: see warnings in data\.json/,
    );
    await expect(train({ ...again, epochs: 1 })).rejects.toThrow(
      /^epochs: the run has already trained 2 epochs, so it cannot end after 1: leave epochs out .* more than 2 to train it further/,
    );
  });
});

describe("a run whose data have not changed", () => {
  it("can be evaluated, explained and resumed from any working folder, after a move of the data, the run, or both", async () => {
    expect((await cli("train", "--resume", "runs/run")).code).toBe(0); // the run notes that its data are here
    mkdirSync("elsewhere");
    process.chdir("elsewhere");
    expect((await cli("evaluate", "../runs/run", ...QUICK)).err).toBe("");
    process.chdir(home);
    renameSync("photos", "pictures");
    const lost = await judge();
    expect(lost.code).toBe(2);
    expect(lost.err).toMatch(/the data of the run runs\/run are not at .*photos.*--data-dir/);
    expect((await judge("--data-dir", "pictures")).err).toBe("");
    expect((await explained("--split", "val", "--data-dir", "pictures")).err).toBe("");
    expect((await cli("train", "--resume", "runs/run", "--data-dir", "pictures")).code).toBe(0);
    expect((await judge()).err).toBe(""); // the run has noted where its data are now
    expect(JSON.parse(readFileSync("runs/run/config.json", "utf8")).dataDir).toBe("pictures");
    renameSync("pictures", "photos");
    mkdirSync("moved");
    for (const name of ["runs", "photos"]) renameSync(name, `moved/${name}`);
    process.chdir(outer);
    expect(
      (await cli("evaluate", join(home, "moved/runs/run"), ...QUICK, "--data-dir", join(home, "moved/photos"))).err,
    ).toBe("");
  });

  it("finds its data next to it if both were moved together", async () => {
    await stopped(3, { epochs: 1 });
    expect((await train({ resume: "runs/cut" })).interrupted).toBe(false);
    mkdirSync("moved");
    for (const name of ["runs", "photos"]) renameSync(name, `moved/${name}`);
    const { code, err } = await cli("evaluate", "moved/runs/cut", ...QUICK);
    expect([code, err]).toEqual([0, ""]);
  });

  it("can explain files without its data", async () => {
    cpSync("photos/cat/1.png", "photo.png");
    rmSync("photos", { recursive: true });
    const { code, manifest, err } = await explained("photo.png");
    expect(code, err).toBe(0);
    const { normalization } = (await readRunData("runs/run"))?.record ?? {};
    expect(manifest.model).toMatchObject({ classNames: ["bird", "cat", "dog"], imageSize: [16, 16], normalization });
  });

  it("explains images of all classes of a split, and names their files", async () => {
    const { manifest } = await explained("--split", "test", "--limit", "6");
    expect(new Set(manifest.images.map(({ label }: { label: string }) => label))).toEqual(
      new Set(["bird", "cat", "dog"]),
    );
    for (const { name, file, label } of manifest.images) {
      expect(name).toMatch(new RegExp(`^${label}/\\d+\\.png$`));
      expect(existsSync(file)).toBe(true);
      expect(`/${file}`.endsWith(`/photos/${name}`)).toBe(true);
    }
  });

  it("reports a damaged data.json, and does not use a part of it", async () => {
    const text = readFileSync("runs/run/data.json", "utf8");
    for (const damaged of [text.slice(0, 300), "[]", "{}", text.replace(/"files": "[^"]{9}/, '"files": "AAAAAAAAA')]) {
      writeFileSync("runs/run/data.json", damaged);
      const { code, err } = await judge();
      expect(code, err).toBe(2);
      expect(err).toMatch(/data\.json is damaged/);
    }
  });
});

describe("a run of a version that did not record its data", () => {
  beforeEach(() => rmSync("runs/run/data.json"));

  it("is compared by the mean images of its classes, with a note", async () => {
    // It selected its test images by order, which this version repeats only for such a run.
    const { code, err } = await judge();
    expect(code).toBe(2);
    expect(err).toMatch(/the training images differ from those of the run .*: the mean image differs for "bird"/);
    renameSync("photos/dog", "photos/wolf");
    expect((await judge()).err).toMatch(/the classes are bird, cat, wolf \(in the run's model card bird, cat, dog/);
    renameSync("photos/wolf", "photos/dog");
    const accepted = await judge("--accept-new-data");
    expect(accepted.code, accepted.err).toBe(0);
    expect(accepted.err).toMatch(/started by a version that recorded nothing about its data/);
  });
});

describe("splits that a program passes", () => {
  async function splits(): Promise<{ train: Split; test: Split }> {
    const { train: all, test } = await loadDataset("mnist");
    const pick = (split: Split, from: number, count: number) =>
      selectImages(split, { indices: Int32Array.from({ length: count }, (_, i) => from + i), name: split.name });
    return { train: pick(all, 0, 200), test: pick(test, 0, 40) };
  }
  const config = { epochs: 1, plain: true, figures: false, threads: 1, valImages: 20, experiment: "own" } as const;

  it("are trained on, are not freed, and are compared by pixels and labels", async () => {
    const own = await splits();
    const result = await train(config, { data: own });
    expect(result.test?.images).toBe(40);
    expect(own.train.images.sizes[0]).toBe(200); // the program's tensors are not freed
    const judged = await evaluate("runs/own", { data: own });
    expect(judged.test.accuracy).toBe(result.test?.accuracy);
    const relabelled = { ...own.test, labels: tensor((own.test.labels.data() as BigInt64Array).reverse()) };
    await expect(evaluate("runs/own", { data: { ...own, test: relabelled } })).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/test: images or labels are different/),
    });
    const bytes = own.test.images.data() as Uint8Array;
    bytes[0] = 255 - (bytes[0] as number);
    const pixels = { ...own.test, images: tensor(bytes, { shape: own.test.images.shape }) };
    await expect(evaluate("runs/own", { data: { ...own, test: pixels } })).rejects.toMatchObject({ code: "E_DATA" });
    expect((await evaluate("runs/own", { data: { ...own, test: pixels }, acceptNewData: true })).test.images).toBe(40);
    await expect(evaluate("runs/own")).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/a program gave the run .* its images/),
    });
    await expect(train({ ...config, experiment: "other" }, { data: { ...own, wrong: 1 } as never })).rejects.toThrow(
      /wrong/,
    );
  });
});
