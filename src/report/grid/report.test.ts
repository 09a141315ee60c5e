import { SaxesParser } from "saxes";
import { describe, expect, it } from "vitest";
import { failedRun, gridRuns } from "../../../test/support/grid-runs.ts";
import { gridRecords, pictureSamples, reportInput, spuriousOf, textOf } from "../../../test/support/report-case.ts";
import type { EpochRecord } from "../../train/run/events.ts";
import { gridReport, type ReportFile } from "./report.ts";

const METHODS = [{ name: "plain", plain: true }, { name: "guided" }, { name: "shuffled", prototypes: "shuffled" }];
const three = await gridReport(reportInput(gridRecords({ methods: METHODS, models: "simple-cnn,resnet18", seeds: 3 })));

/** Throws if a text is not well-formed XML. */
function readXml(text: string): void {
  const parser = new SaxesParser();
  parser.on("error", (error) => {
    throw error;
  });
  parser.write(text).close();
}

const textFile = (files: readonly ReportFile[], path: string) =>
  String(files.find((file) => file.path === path)?.contents);
const svgsOf = (html: string) => html.match(/<svg[ >].*?<\/svg>/gs) ?? [];

describe("the report of a comparison", () => {
  it("is one page that asks the network for nothing", () => {
    expect(three.warnings).toEqual([]);
    const addresses = [...three.html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address ?? "");
    for (const address of addresses) expect(address).toMatch(/^(#|data:image\/png;base64,)/);
    expect(
      three.html.replaceAll('xmlns="http://www.w3.org/2000/svg"', "").replaceAll("http://www.w3.org/1999/xlink", ""),
    ).not.toMatch(/https?:/);
    expect(three.html).not.toMatch(/<script|@import|url\((?!#)/);
  });

  it("has every figure as SVG and PNG, every table as CSV and LaTeX", () => {
    const paths = three.files.map(({ path }) => path);
    const figures = ["maps", "reconstruction", "effects", "accuracy-coherence"];
    const slugs = ["simple-cnn-mnist", "resnet18-mnist"];
    const expected = slugs.flatMap((slug) =>
      figures.flatMap((name) => [`figures/${name}-${slug}.svg`, `figures/${name}-${slug}.png`]),
    );
    expect(paths.filter((path) => path.startsWith("figures/")).sort()).toEqual(expected.sort());
    for (const name of ["accuracy", "reconstruction", "time", "tests"])
      for (const end of ["csv", "tex"]) expect(paths).toContain(`tables/${name}.${end}`);
    for (const { path, contents } of three.files)
      if (path.endsWith(".png")) expect(Buffer.from(contents as Uint8Array).toString("latin1", 1, 4)).toBe("PNG");
  });

  it("has well-formed SVG, in the theme's colours on the page and in plain ones in files", () => {
    const inPage = svgsOf(three.html);
    expect(inPage.length).toBeGreaterThan(10);
    for (const svg of inPage) readXml(svg);
    expect(three.html).toMatch(/fill="var\(--kind-guided\)"/);
    for (const { path, contents } of three.files.filter((file) => file.path.endsWith(".svg"))) {
      readXml(String(contents));
      expect(String(contents), path).not.toContain("var(");
    }
  });

  it("has no id twice", () => {
    const ids = [...three.html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("is the same for the same records", async () => {
    const again = await gridReport(
      reportInput(gridRecords({ methods: METHODS, models: "simple-cnn,resnet18", seeds: 3 })),
    );
    expect(again.html).toBe(three.html);
    expect(again.files.map(({ contents }) => Buffer.from(contents as string).toString("base64"))).toEqual(
      three.files.map(({ contents }) => Buffer.from(contents as string).toString("base64")),
    );
  });

  it("says in words what pictures show", () => {
    expect(three.html).toContain('alt="Map by guided, class dog, dead, read as cat"');
    expect(three.html).toContain('alt="Test image, class cat"');
  });
});

describe("the report of a store", () => {
  const report = async (...[records, over]: Parameters<typeof reportInput>) => {
    const made = await gridReport(reportInput(records, over));
    return { ...made, text: textOf(made.html) };
  };

  it("with one seed says that there is no spread, and makes no test", async () => {
    const { text } = await report(gridRecords({ methods: METHODS, seeds: 1 }));
    expect(text).toContain("one seed (0): there is no spread, so no difference can be distinguished from chance");
    expect(text).toContain("no test");
    expect(text).not.toMatch(/p [=<] \d|95 % −?\d|significant difference from plain/);
    expect(text).not.toMatch(/\d ± /);
  });

  it("with two seeds gives deviations and no test", async () => {
    const { text } = await report(gridRecords({ methods: METHODS, seeds: 2 }));
    expect(text).toContain("2 seeds (0, 1), too few for a test");
    expect(text).toMatch(/\d ± \d/);
    expect(text).not.toMatch(/p [=<] \d/);
  });

  it("names failed and missing runs, with what they said", async () => {
    const [first, ...others] = gridRecords({ methods: METHODS, seeds: 3 });
    const [run] = gridRuns({ methods: METHODS, seeds: 3 });
    const failed = failedRun(run as NonNullable<typeof run>, "loss <b>is</b> NaN");
    const missing = [{ ...(first as NonNullable<typeof first>), seed: 7, state: "damaged" }];
    const { html, text } = await report([failed, ...others], { missing });
    expect(text).toContain("1 run failed and is not counted");
    expect(text).toContain("1 run of the grid is missing");
    expect(html).toContain("loss &lt;b&gt;is&lt;/b&gt; NaN");
    expect(text).toMatch(/seed 7: damaged/);
  });

  it("counts the comparisons that could not be tested, and says on which seeds a test rests", async () => {
    const all = gridRecords({ methods: METHODS, seeds: 4 }, (method, seed) => ({
      test: {
        accuracy:
          method === "shuffled" ? 0.5 + 0.01 * seed : method === "plain" ? 0.8 + 0.01 * seed : 0.7 + 0.02 * seed,
      },
    }));
    const { text } = await report(all.filter(({ method, seed }) => method !== "plain" || seed < 3));
    expect(text).toMatch(/Controls .*?1 comparison: test accuracy is higher in 0 of 1, none of them tested/);
    expect(text).toContain("on the 3 seeds that plain training has too, 95 %");
    expect(text).toMatch(/accuracy lower by the same amount for every seed, so that no test is made/);
  });

  it("says where the guidance never reached its full weight, and nothing of it where it had", async () => {
    const methods = [
      { name: "plain", plain: true },
      { name: "guided", lambdaWarmup: 40 },
      { name: "short", lambdaWarmup: 10 },
    ];
    const records = gridRecords({ methods, seeds: 3 }, (_, seed) => ({ steps: 10 + seed })); // 10 to 12 steps
    const text = textOf((await gridReport(reportInput(records))).html);
    expect(text).toContain(
      "In 3 runs the guidance never reached its full weight, because the warm-up is longer than the run",
    );
    expect(text).toContain(
      "The guidance of guided never reached its full weight: its weight rises over 40 steps, the runs took 10 to 12 and ended with 25 to 30 % of it.",
    );
    expect(text).not.toMatch(/guidance of (plain|short)/);
    expect(textOf(three.html)).not.toContain("whole weight");
  });

  it("says what was trained, each option where it is decided", async () => {
    const { text } = await report(gridRecords({ base: { epochs: 2 }, methods: METHODS, seeds: 1 }));
    expect(text).toMatch(
      /What was trained .*all runs epochs 2 , batchSize 128 , .*method shuffled .*prototypes shuffled/,
    );
  });

  it("without plain training compares with nothing, and says so", async () => {
    const { text, files } = await report(gridRecords({ methods: METHODS.slice(1), seeds: 3 }));
    expect(text).toContain("no record of plain training of this model and data set");
    expect(files.map(({ path }) => path).join()).not.toContain("effects-");
    expect(text).not.toMatch(/p [=<] \d/);
  });

  it("without a finished run is a page all the same", async () => {
    const runs = gridRuns({ methods: METHODS, seeds: 1 });
    const { text, warnings } = await report(runs.map((run) => failedRun(run)));
    expect(warnings).toEqual([]);
    expect(text).toContain("0 finished runs");
    expect(await gridReport(reportInput([]))).toMatchObject({ warnings: [], files: [] });
  });

  it("without a cue speaks of none", async () => {
    const { text } = await report(gridRecords({ methods: METHODS, seeds: 3 }));
    expect(text).not.toMatch(/Plain training: accuracy|Best control|wrong-reason/i);
  });

  it("with numbers that are null or not finite shows a dash in their place", async () => {
    const records = gridRecords({ methods: METHODS, seeds: 3 }, (method) =>
      method === "guided"
        ? { test: { mapSsim: null, coherence: Number.NaN }, secondsPerStep: null as unknown as number }
        : {},
    );
    const { html, text, files } = await report(records);
    expect(text).not.toMatch(/NaN|null|undefined|Infinity|\d\.\d{6}/);
    expect(html).toContain('<td class="number">–</td>');
    expect(textFile(files, "tables/reconstruction.csv")).not.toMatch(/NaN|null/);
  });

  it("with names full of markup escapes them everywhere", async () => {
    const name = `<script>"x"</script> & $50%_{y}\\ 'z'`;
    const records = gridRecords({ methods: [METHODS[0], { name }], seeds: 3 });
    const { html, files, warnings } = await report(records, { name: "<i>" });
    expect(warnings).toEqual([]);
    expect(html).not.toMatch(/<script|<i>/);
    for (const svg of svgsOf(html)) readXml(svg);
    for (const { path, contents } of files) if (path.endsWith(".svg")) readXml(String(contents));
    expect(textOf(html)).toContain(name);
  });

  it("with a picture that is damaged shows the others", async () => {
    const samples = pictureSamples({ maps: ["", "AA=="] });
    const { html, warnings, files } = await report(
      gridRecords({ methods: METHODS, seeds: 1 }, (method) => (method === "guided" ? { samples } : {})),
    );
    expect(warnings).toEqual([]);
    expect(html).toContain('<span class="no-picture">–</span>');
    expect(files.map(({ path }) => path)).toContain("figures/maps-simple-cnn-mnist.png");
  });

  it("with a figure that cannot be drawn keeps the rest, and says which", async () => {
    const samples = pictureSamples({
      classNames: [],
      labels: [],
      predictions: [],
      images: [],
      maps: [],
      prototypes: [],
      meanMaps: [],
    });
    const { text, warnings, files } = await report(gridRecords({ methods: METHODS, seeds: 1 }, () => ({ samples })));
    expect(warnings.join()).toMatch(/the figure maps-simple-cnn-mnist could not be drawn: /);
    expect(text).toMatch(/The figure maps-simple-cnn-mnist could not be drawn/);
    expect(files.map(({ path }) => path)).toContain("figures/effects-simple-cnn-mnist.svg");
  });

  it("speaks of many methods by what was found of them, and of few one by one", async () => {
    const guided = Array.from({ length: 5 }, (_, index) => ({ name: `guided ${index}`, lambdaPrototype: index + 1 }));
    const findings = async (count: number) => {
      const methods = [{ name: "plain", plain: true }, ...guided.slice(0, count)];
      const records = gridRecords({ methods, seeds: 3 }, (method, seed) => {
        const gain = method === "plain" ? 0 : 0.1 * Number(method.at(-1)) + 0.2;
        return { test: { accuracy: 0.8 + 0.01 * seed, mapSsim: 0.1 + gain * (1 + 0.01 * seed) } };
      });
      const { html } = await report(records);
      return [...html.matchAll(/<li>(?=[^\n]*class="numbers").*?<\/li>/g)].map(([item]) => textOf(item).trim());
    };
    const one = await findings(4);
    expect(one.map((item) => item.slice(0, 8))).toEqual(["guided 0", "guided 1", "guided 2", "guided 3"]);
    const [shared, ...rest] = await findings(5);
    expect(rest).toEqual([]);
    expect(shared).toMatch(
      /^guided 0 , guided 1 , guided 2 , guided 3 and guided 4 \(guided\): SSIM higher than plain’s/,
    );
    expect(shared).toContain("SSIM of map and prototype +0.202 to +0.606");
    expect(shared).toMatch(
      /Of these, guided 4 is nearest to the prototypes: .*SSIM of map and prototype 0\.706 ± 0\.006 \(\+0\.606, 95 %/,
    );
  });

  it("draws the curves of few methods in one chart, and of many by their kind, each with plain", async () => {
    const ofCurves = { datasets: "decoy-mnist", seeds: 1, methods: [...METHODS, { name: "masks", baseline: "rrr" }] };
    const curves = async (guided: number) => {
      const names = Array.from({ length: guided }, (_, index) => ({
        name: `guided ${index}`,
        lambdaPrototype: index + 1,
      }));
      const made = await report(
        gridRecords({ ...ofCurves, methods: [...ofCurves.methods, ...names] }, () => ({
          history: [
            { epoch: 1, train: { loss: 2 } },
            { epoch: 2, train: { loss: 1 } },
          ] as EpochRecord[],
        })),
      );
      const lines = made.html.match(/id="figure-curves-.*?<\/ul>/gs) ?? [];
      return lines.map((figure) => [
        figure.match(/curves-[\w-]+/)?.[0],
        textOf(figure.slice(figure.indexOf('<ul class="key">'))).trim(),
      ]);
    };
    const name = "curves-simple-cnn-decoy-mnist";
    expect(await curves(1)).toEqual([[name, "plain guided shuffled masks guided 0"]]);
    const seven = Array.from({ length: 7 }, (_, index) => `guided ${index}`).join(" ");
    expect(await curves(7)).toEqual([
      [`${name}-guided`, `plain guided ${seven}`],
      [`${name}-controls`, "plain shuffled"],
      [`${name}-references`, "plain masks"],
    ]);
  });

  it("shows only methods whose samples are the same images", async () => {
    const samples = pictureSamples({ labels: [1, 0] });
    const { html } = await report(
      gridRecords({ methods: METHODS, seeds: 1 }, (method) => (method === "guided" ? { samples } : {})),
    );
    expect(html).toContain('alt="Map by shuffled, class cat"');
    expect(html).not.toContain('alt="Map by guided');
  });
});

describe("on a cue", () => {
  const grid = {
    datasets: "decoy-mnist",
    methods: [...METHODS, { name: "masks", baseline: "rrr" }],
    seeds: 3,
  };
  const sentences = async (of: (method: string, seed: number) => number, methods: unknown[] = grid.methods) => {
    const records = gridRecords({ ...grid, methods }, (method, seed) => ({ spurious: spuriousOf(of(method, seed)) }));
    return textOf((await gridReport(reportInput(records))).html);
  };
  const fixed: Record<string, number> = { plain: 0.5, guided: 0.8, shuffled: 0.7, masks: 0.95 };
  const noise = (seed: number) => [0, 0.004, -0.003][seed] ?? 0;

  it("the best control and the upper bound follow the best method", async () => {
    const text = await sentences(
      (method, seed) => (fixed[method] ?? 0) + noise(seed) * (method === "guided" ? 1 : 0.2),
    );
    expect(text).toMatch(
      /Best method without annotations: guided, accuracy 80\.0 ± 0\.4 %, wrong-reason score 30\.0 ± 0\.0 % \(3 seeds\), 67 % of the gap/,
    );
    expect(text).toMatch(/Best control: shuffled, accuracy 70\.0/);
    expect(text).toMatch(/Upper bound, which uses masks or clean images: masks/);
    expect(text).toMatch(
      /guided is \+10\.0 points beyond that control on 3 seeds \(.*?p < 0\.001\): this part of its gain is not due to what the control has too/,
    );
    expect(text).not.toContain("cannot be attributed");
  });

  it("no gain is attributed to the maps if a control does as well", async () => {
    const text = await sentences((method) => (method === "shuffled" ? 0.85 : (fixed[method] ?? 0)));
    expect(text).toContain(
      "The control does as well or better on the same seeds: the gain of guided is not due to where its maps point.",
    );
  });

  it("no gain is attributed to the maps if the difference is not significant", async () => {
    const text = await sentences((method, seed) =>
      method === "guided" ? 0.71 + 10 * noise(seed) : (fixed[method] ?? 0),
    );
    expect(text).toMatch(/which is not significant: the gain cannot be attributed to where the maps point/);
  });

  it("nothing is called a gain if no method is above plain", async () => {
    const text = await sentences((method) => (method === "guided" ? 0.3 : (fixed[method] ?? 0)));
    expect(text).toContain("No method without annotations is above plain training. The best of them: guided");
    expect(text).not.toMatch(/the gain of guided|cannot be attributed/);
  });

  it("no gain is attributed to the maps without a control", async () => {
    const text = await sentences((method) => fixed[method] ?? 0, METHODS.slice(0, 2));
    expect(text).toContain("No control was trained, so the cause of a gain is not known");
  });
});
