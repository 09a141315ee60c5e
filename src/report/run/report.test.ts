import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import type { EpochRecord, SplitRecord, StepMetrics } from "../../train/run/events.ts";
import * as publicNames from "../index.ts";
import type { DecoyRun, DecoyShown, ReportedRun, RunReportInput } from "./input.ts";
import { renderRunReport } from "./report.ts";

const CLASSES = 3;
const SIDE = 8;

/** A ring, a bar and a disc: three "digits" small enough to draw by formula. */
function shape(kind: number, scale = 1): Float32Array {
  return Float32Array.from({ length: SIDE * SIDE }, (_, index) => {
    const [x, y] = [(index % SIDE) - 3.5, Math.floor(index / SIDE) - 3.5];
    const radius = Math.hypot(x, y);
    const inside = [Math.abs(radius - 2.5) < 1, Math.abs(x) < 1, radius < 2.5][kind % 3];
    return inside ? scale : 0;
  });
}

const METRICS: StepMetrics = {
  loss: 1.5,
  crossEntropy: 1.2,
  prototypeLoss: null,
  batchCamLoss: null,
  baselineLoss: null,
  lambdaPrototype: 0,
  lambdaBatch: 0,
  deadMaps: 0.1,
  rawMapMax: 2,
  gradNorm: 3,
  lr: 0.001,
};
const TEST: SplitRecord = {
  split: "test",
  images: 1000,
  accuracy: 0.97,
  crossEntropy: 0.1,
  mapL1: 0.2,
  mapL2: 0.1,
  mapSsim: 0.3,
  coherence: 0.8,
  deadMaps: 0.01,
  energyInForeground: 0.4,
};

function run(name: ReportedRun["name"], changes: Partial<ReportedRun> = {}): ReportedRun {
  const record: EpochRecord = {
    epoch: 1,
    step: 50,
    train: { ...METRICS, accuracy: 0.9 },
    val: { ...TEST, split: "val" },
    secondsPerEpoch: 12.5,
    bestSoFar: true,
  };
  const paths = { runDirectory: "runs/demo/plain", checkpoint: "last", best: "best" };
  const progress = { interrupted: false, endedBy: "epochs" as const, step: 100, bestEpoch: 2, seconds: 25 };
  return {
    name,
    config: { seed: 0, optimizer: { name: "adamw", betas: [0.9, 0.999] }, lambdaPrototype: name === "plain" ? 0 : 0.5 },
    result: { ...paths, ...progress, history: [record, { ...record, epoch: 2, step: 100 }], test: TEST },
    steps: Array.from({ length: 60 }, (_, index) => ({ step: index + 1, metrics: METRICS })),
    maps: [0, 1, 2].map((kind) => shape(kind, 0.8)),
    dead: [false, false, false],
    predictions: [0, 1, 2],
    ...changes,
  };
}

/** A run that has logged nothing, so that the page has no charts, which take most of its time. */
function brief(name: ReportedRun["name"], changes: Partial<ReportedRun> = {}): ReportedRun {
  return run(name, { steps: [], result: { ...run(name).result, history: [] }, ...changes });
}

function input(changes: Partial<RunReportInput> = {}): RunReportInput {
  return {
    title: "Batch-CAM on shapes",
    runs: [brief("plain"), brief("guided")],
    samples: { images: [0, 1, 2].map((kind) => shape(kind)), labels: [0, 1, 2], height: SIDE, width: SIDE },
    prototypes: [0, 1, 2].map((kind) => shape(kind, 0.5)),
    classNames: ["ring", "bar", "disc"],
    environment: { libtorch: "2.11.0", threads: 2 },
    ...changes,
  };
}

function textOf(html: string): string {
  return html
    .replace(/<style>.*?<\/style>/s, "")
    .replace(/<[^>]*>/g, " ")
    .replaceAll("\u00a0", " ");
}

const whole = () => input({ runs: [run("plain"), run("guided")] });
const html = await renderRunReport(whole());

describe("renderRunReport", () => {
  it("is one file that asks the network for nothing", () => {
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg")/);
    expect(html).not.toMatch(/<script|<link|@import|url\(/);
    for (const [, source] of html.matchAll(/src="([^"]*)"/g)) expect(source).toMatch(/^data:image\/png;base64,/);
  });

  it("has one title, headings in order, and a section for each link", () => {
    expect(html.match(/<h1>/g)).toHaveLength(1);
    const levels = [...html.matchAll(/<h([1-6])[ >]/g)].map(([, level]) => Number(level));
    levels.forEach((level, index) => {
      expect(level - (levels[index - 1] ?? 0)).toBeLessThanOrEqual(1);
    });
    const ids = new Set([...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id));
    const links = [...html.matchAll(/href="#([^"]*)"/g)].map(([, target]) => target);
    expect(links.length).toBeGreaterThan(10);
    for (const target of links) expect(ids).toContain(target);
  });

  it("closes every element that it opens", () => {
    const open: string[] = [];
    const body = html.replace(/<!doctype html>|<style>.*?<\/style>/gs, "");
    for (const [, slash, name = "", rest = ""] of body.matchAll(/<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|[^">])*)>/gi)) {
      if (["meta", "img", "br"].includes(name) || rest.endsWith("/")) continue;
      if (slash === "") open.push(name);
      else expect(open.pop()).toBe(name);
    }
    expect(open).toEqual([]);
  });

  it("describes every picture and every chart", () => {
    const pictures = [...html.matchAll(/<img [^>]*>/g)].map(([tag]) => tag);
    expect(pictures).toHaveLength(CLASSES * 4 + CLASSES * 2 + 1);
    for (const tag of pictures) expect(tag).toMatch(/ alt="[^"]{10,}"/);
    for (const [chart] of html.matchAll(/<svg class="chart".*?<\/svg>/gs)) expect(chart).toMatch(/<title>.+<\/title>/);
  });

  it("shows image, prototype and both maps of each sample side by side", () => {
    const gallery = /<div class="gallery".*?<\/div>\n<\/div>/s.exec(html)?.[0] ?? "";
    expect([...gallery.matchAll(/role="columnheader"[^>]*>([^<]*)/g)].map(([, head]) => head)).toEqual([
      "class",
      "image",
      "prototype",
      "plain map",
      "guided map",
    ]);
    expect([...gallery.matchAll(/role="rowheader">([^<]*)/g)].map(([, head]) => head)).toEqual(["ring", "bar", "disc"]);
    const [, source = ""] = /src="data:image\/png;base64,([^"]*)"/.exec(gallery) ?? [];
    const png = PNG.sync.read(Buffer.from(source, "base64"));
    expect([png.width, png.height]).toEqual([SIDE, SIDE]);
  });

  it("marks dead maps and wrong predictions, and explains the marks only then", async () => {
    const marked = brief("plain", { dead: [true, false, false], predictions: [0, 2, 2] });
    const page = await renderRunReport(input({ runs: [marked, brief("guided")] }));
    expect(page).toContain("read as disc");
    expect(page).toContain("Map by plain, class ring, dead");
    expect(textOf(page)).toMatch(/dead map, zero everywhere.*wrong prediction/s);
    expect(textOf(html)).not.toMatch(/dead map, zero everywhere|wrong prediction|read as/);
  });

  it("tabulates every measure with its difference and a definition", async () => {
    const better = { ...run("guided").result, test: { ...TEST, mapSsim: 0.66, accuracy: 0.969, mapL1: 0.25 } };
    const page = await renderRunReport(
      input({ runs: [run("plain", { steps: [] }), run("guided", { steps: [], result: better })] }),
    );
    const row = (name: string) => {
      return textOf(
        new RegExp(`<tr><th scope="row"><a href="#about-${name}">.*?</tr>`, "s").exec(page)?.[0] ?? "",
      ).replace(/\s+/g, " ");
    };
    expect(row("accuracy")).toContain("97.00 % 96.90 % −0.10 points within sampling error");
    expect(row("mapSsim")).toContain("0.300 0.660 +0.360 better");
    expect(row("mapL1")).toContain("0.200 0.250 +0.050 worse");
    expect(row("coherence")).toContain("0.800 0.800 0.000 equal");
    expect(row("secondsPerEpoch")).toContain("12.5 12.5 0.0 equal");
    for (const name of [
      "map",
      "prototype",
      "loss",
      "accuracy",
      "mapSsim",
      "mapL1",
      "mapL2",
      "coherence",
      "energyInForeground",
      "deadMaps",
      "secondsPerEpoch",
    ]) {
      expect(page).toContain(`id="about-${name}"`);
    }
  });

  it("draws a chart for each term that a run has, and for no other", async () => {
    const titles = (page: string) => [...page.matchAll(/<figcaption><strong>([^<]*)/g)].map(([, title]) => title);
    expect(titles(html)).toContain("Cross-entropy");
    expect(titles(html)).toContain("Share of dead maps, validation");
    expect(titles(html)).not.toContain("Prototype Loss, before λ");
    const metrics = { ...METRICS, prototypeLoss: 0.5, lambdaPrototype: 0.5 };
    const guided = run("guided", { steps: [1, 2].map((step) => ({ step, metrics })) });
    const page = await renderRunReport(input({ runs: [run("plain"), guided] }));
    expect(titles(page)).toEqual(expect.arrayContaining(["Prototype Loss, before λ", "λ of the Prototype Loss"]));
  });

  it("lists the configuration of both runs and marks where they differ", () => {
    expect(html).toMatch(/<tr><th scope="row"><code>optimizer\.betas<\/code><\/th><td><code>\[0\.9,0\.999\]<\/code>/);
    expect(html).toMatch(
      /<tr class="differing"><th scope="row"><code>lambdaPrototype<\/code> <span class="differs">differs/,
    );
    expect(html.match(/class="differing"/g)).toHaveLength(1);
    expect(textOf(html)).toMatch(/libtorch\s+2\.11\.0/);
  });

  it("says how to make it again", async () => {
    expect(html).toContain("<code>npm start</code></pre>");
    expect(await renderRunReport(input({ commands: ["a", "b"] }))).toContain("<code>a\nb</code></pre>");
  });

  it("shows one run alone without a difference column", async () => {
    const page = await renderRunReport(input({ runs: [brief("guided")] }));
    expect(page).not.toContain("guided − plain");
    expect(page).not.toMatch(/<th[^>]*>difference/);
    expect(page).not.toContain("plain map");
  });

  it("puts a dash wherever a number is missing, and never NaN", async () => {
    const nothing = Object.fromEntries(Object.keys(TEST).map((key) => [key, Number.NaN])) as unknown as SplitRecord;
    const noMetrics = Object.fromEntries(Object.keys(METRICS).map((key) => [key, null])) as unknown as StepMetrics;
    const page = await renderRunReport(
      input({
        runs: [
          run("plain", { result: { ...run("plain").result, test: null, history: [] }, steps: [] }),
          run("guided", {
            result: { ...run("guided").result, test: nothing },
            steps: [{ step: 1, metrics: noMetrics }],
            config: { a: Number.NaN, b: null },
          }),
        ],
        environment: { temperature: Number.NaN },
      }),
    );
    const visible = textOf(page).replace(/data:[^"]*/g, "");
    expect(visible).not.toMatch(/NaN|undefined|null|Infinity/);
    expect(visible).toContain("–");
  });

  it("says why a measure has no value", async () => {
    const page = (changes: Partial<SplitRecord>) => {
      const result = { ...run("guided").result, test: { ...TEST, ...changes } };
      return renderRunReport(input({ runs: [run("guided", { result })] })).then(textOf);
    };
    expect(await page({ energyInForeground: Number.NaN })).toMatch(
      /Energy in the foreground has no value, because no image has a foreground that can be separated/,
    );
    expect(await page({ energyInForeground: Number.NaN, coherence: Number.NaN, deadMaps: 1 })).toMatch(
      /oherence .* and energy in the foreground have no value, because every map is dead/,
    );
    expect(await page({ coherence: Number.NaN })).toMatch(/has no value, because no class has two images/);
    expect(await page({})).not.toMatch(/no value/);
  });

  it("escapes every text that it is given", async () => {
    const hostile = `<script>alert("x")</script>'&`;
    const guided = brief("guided", { config: { [hostile]: hostile, nested: { [hostile]: [hostile] } } });
    const page = await renderRunReport(
      input({
        title: hostile,
        runs: [brief("plain", { predictions: [1, 2, 0] }), guided],
        classNames: [hostile, hostile, hostile],
        environment: { [hostile]: hostile },
        commands: [hostile],
      }),
    );
    expect(page).not.toContain("<script");
    expect(page).not.toContain('"x"');
    expect(page).toContain("&lt;script&gt;");
  });

  it("wraps many samples into bands", async () => {
    const count = 25;
    const list = <T>(make: (index: number) => T) => Array.from({ length: count }, (_, index) => make(index));
    const labels = list((index) => index % CLASSES);
    const samples = { images: list(shape), labels, height: SIDE, width: SIDE };
    const maps = list(shape);
    const runs = [brief("plain", { maps, dead: list(() => false), predictions: labels })];
    const page = await renderRunReport(input({ runs, samples }));
    expect([...page.matchAll(/--samples:(\d+)/g)].map(([, size]) => size)).toEqual(["9", "9", "7", "9", "9", "7"]);
  });

  it("takes colour images with grey maps", async () => {
    const colour = [0, 1, 2].map((kind) => Float32Array.of(...shape(kind), ...shape(kind + 1), ...shape(kind + 2)));
    const samples = { ...input().samples, images: colour };
    expect(await renderRunReport(input({ samples, prototypes: colour }))).toContain("guided on image");
  });

  it("gives the same text for the same input", async () => {
    expect(await renderRunReport(whole())).toBe(html);
  });
});

function decoy(changes: Partial<DecoyShown> = {}): DecoyShown {
  const accuracies = { plain: 0.783, guided: 0.936, control: 0.94 };
  const runs = (["plain", "guided", "control"] as const).map((name): DecoyRun => {
    const { steps: _, ...base } = run("plain");
    const config = { seed: 0, prototypes: name === "control" ? "global" : "class" };
    return { ...base, name, config, result: { ...base.result, test: { ...TEST, accuracy: accuracies[name] } } };
  });
  const { samples, prototypes, classNames } = input();
  return { runs, samples, prototypes, classNames, ...changes };
}

const decoyPage = await renderRunReport(input({ decoy: decoy() }));

describe("renderRunReport with runs on a decoy set", () => {
  const page = decoyPage;
  const section = /<section id="decoy".*?<\/section>/s.exec(page)?.[0] ?? "";
  const text = textOf(section).replace(/\s+/g, " ");

  it("has a section of them, named in the contents and mentioned at the top, and none without them", async () => {
    expect(page).toContain('<li><a href="#decoy">');
    const head = textOf(page.slice(0, page.indexOf("<nav"))).replace(/\s+/g, " ");
    expect(head).toContain("the plain network is right for 78.3 %, the guided one for 93.6 %");
    expect(head).toMatch(/a control, which .*, for 94\.0 %/);
    expect(await renderRunReport(input())).not.toMatch(/decoy|patch/);
  });

  it("has one table of accuracies, one sentence of what they show and one of what they do not", () => {
    expect(section.match(/<table/g)).toHaveLength(1);
    expect(text).toContain("patch reveals the class (1,000 validation images, as in training) 97.0 % 97.0 % 97.0 %");
    expect(text).toContain("patch drawn at random (1,000 test images) 78.3 % 93.6 % 94.0 %");
    expect(text).toContain("although nobody marked where the patch is");
    expect(text).toContain("and not from where the prototypes point");
  });

  it("shows image, prototype and the maps of all three runs", () => {
    const heads = [...section.matchAll(/role="columnheader"[^>]*>([^<]*)/g)].map(([, head]) => head);
    expect(heads).toEqual(["class", "image", "prototype", "plain map", "guided map", "control map"]);
    expect(section.match(/<img /g)).toHaveLength(CLASSES * 5 + 1);
  });

  it("lists their configurations apart, and marks where they differ", () => {
    expect(page).toMatch(/<tr class="differing"><th scope="row"><code>prototypes<\/code>.*?<code>global<\/code>/);
  });

  it("puts a dash where a number is missing, and never NaN", async () => {
    const runs = decoy().runs.map((one) => ({ ...one, result: { ...one.result, test: null, history: [] } }));
    const unfinished = textOf(await renderRunReport(input({ decoy: decoy({ runs }) })));
    expect(unfinished).not.toMatch(/NaN|undefined|null/);
    expect(unfinished).toContain("There are no test results to compare");
  });

  it.each<[string, Partial<DecoyShown>, string]>([
    [
      "a run is missing",
      { runs: decoy().runs.slice(1) },
      "decoy.runs must be plain, guided, control, in this order, got guided, control",
    ],
    ["there are none", { runs: [] }, "got none"],
    ["a prototype is missing", { prototypes: [] }, "decoy.prototypes must hold 3 entries"],
    ["a label is of no class", { samples: { ...decoy().samples, labels: [0, 1, 9] } }, "decoy.samples.labels[2]"],
    [
      "a map is missing",
      { runs: decoy().runs.map((one) => ({ ...one, maps: one.maps.slice(1) })) },
      "decoy.runs.plain.maps must hold 3 entries",
    ],
  ])("refuses them where %s", async (_, changes, message) => {
    await expect(renderRunReport(input({ decoy: decoy(changes) }))).rejects.toThrow(message);
  });
});

describe("renderRunReport refuses", () => {
  const { samples } = input();

  it.each<[string, Partial<RunReportInput>, string, string]>([
    ["an empty title", { title: "" }, "E_ARGUMENT", "title must not be empty"],
    ["no runs", { runs: [] }, "E_ARGUMENT", 'runs must hold "plain", "guided" or one of each, got none'],
    ["the same run twice", { runs: [run("plain"), run("plain")] }, "E_ARGUMENT", "got plain, plain"],
    ["no classes", { classNames: [] }, "E_ARGUMENT", "classNames must hold at least one name"],
    [
      "no samples",
      { samples: { ...samples, images: [], labels: [] } },
      "E_ARGUMENT",
      "samples.images must hold at least one",
    ],
    [
      "a label too few",
      { samples: { ...samples, labels: [0, 1] } },
      "E_SHAPE",
      "samples.labels must hold 3 entries, one per image, got 2",
    ],
    [
      "a label out of range",
      { samples: { ...samples, labels: [0, 1, 3] } },
      "E_ARGUMENT",
      "samples.labels[2] must be a class from 0 to 2, got 3",
    ],
    ["a label that is not whole", { samples: { ...samples, labels: [0, 0.5, 1] } }, "E_ARGUMENT", "samples.labels[1]"],
    [
      "a size of zero",
      { samples: { ...samples, height: 0 } },
      "E_ARGUMENT",
      "height must be a positive whole number, got 0",
    ],
    ["images of another size", { samples: { ...samples, width: 9 } }, "E_SHAPE", "samples.images[0]: a 8x9 picture"],
    [
      "a prototype too few",
      { prototypes: [shape(0)] },
      "E_SHAPE",
      "prototypes must hold 3 entries, one per class, got 1",
    ],
    [
      "a prototype of another size",
      { prototypes: [shape(0), shape(1), new Float32Array(5)] },
      "E_SHAPE",
      "prototypes[2]",
    ],
    [
      "a map too few",
      { runs: [run("plain", { maps: [shape(0)] })] },
      "E_SHAPE",
      "runs.plain.maps must hold 3 entries, one per sample, got 1",
    ],
    [
      "a map in colour",
      { runs: [run("plain", { maps: Array(3).fill(new Float32Array(192)) })] },
      "E_SHAPE",
      "runs.plain.maps[0]: a 8x8 map",
    ],
    [
      "a dead flag too many",
      { runs: [run("plain", { dead: [true, true, true, true] })] },
      "E_SHAPE",
      "runs.plain.dead must hold 3",
    ],
    [
      "a negative prediction",
      { runs: [run("guided", { predictions: [0, -1, 2] })] },
      "E_ARGUMENT",
      "runs.guided.predictions[1]",
    ],
  ])("%s", async (_, changes, code, message) => {
    await expect(renderRunReport(input(changes))).rejects.toThrow(
      expect.objectContaining({ name: "BatchCamError", code, message: expect.stringMatching(/^renderRunReport: /) }),
    );
    await expect(renderRunReport(input(changes))).rejects.toThrow(message);
  });
});

describe("the entry of report", () => {
  it("exports these names and no others", () => {
    expect(Object.keys(publicNames).sort()).toEqual([
      "COLORMAPS",
      "INFERNO",
      "camFigure",
      "classicOverlay",
      "colormapTable",
      "encodeNpy",
      "explanationFigure",
      "explanationPicture",
      "gridReport",
      "modelCard",
      "overlay",
      "renderRunReport",
    ]);
  });
});
