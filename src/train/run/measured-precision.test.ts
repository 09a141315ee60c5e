import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { parseTrainConfig } from "../../config/index.ts";
import { createModel } from "../../models/index.ts";
import { getRngState, manualSeed, setNumThreads } from "../../tensor/index.ts";
import { choosePrecision, recordedPrecision } from "./measured-precision.ts";

const WITH_BFLOAT16 = { fastBfloat16: true, forcedBfloat16: null };
const train = { numClasses: 3, images: { sizes: [100, 1, 8, 8] } };
const config = parseTrainConfig({ model: "resnet18", batchSize: 4, width: 8 });

function options(changes: Partial<typeof config> = {}, steps = 1000) {
  const model = createModel("resnet18", { numClasses: 3, inChannels: 1, width: 8 });
  return { config: { ...config, ...changes }, model, train, steps };
}

let cache: string;
const stored = async () =>
  join(cache, "batch-cam/precision", (await readdir(join(cache, "batch-cam/precision")))[0] ?? "");

beforeAll(() => setNumThreads(1));
beforeEach(async () => {
  cache = await temporaryFolder("precision");
  vi.stubEnv("BATCH_CAM_CACHE", cache);
});
afterEach(() => void vi.unstubAllEnvs());

/** Replaces the measured times in the cache. */
async function setTimes(times: { bfloat16: number | null; last: number | null; first: number | null }): Promise<void> {
  const timings = [
    { amp: true, channelsLast: true, milliseconds: times.bfloat16 },
    { amp: false, channelsLast: true, milliseconds: times.last },
    { amp: false, channelsLast: false, milliseconds: times.first },
  ];
  await writeFile(await stored(), JSON.stringify({ format: 1, timings }));
}

describe("choosePrecision", () => {
  it("times a step of the network in bfloat16 and in float32 with both layouts", async () => {
    const { timings } = await choosePrecision(options(), WITH_BFLOAT16);
    expect(timings?.map(({ amp, channelsLast }) => [amp, channelsLast])).toEqual([
      [true, true],
      [false, true],
      [false, false],
    ]);
    for (const { milliseconds } of timings ?? []) expect(milliseconds).toBeGreaterThan(0);
  });

  it("times the layout alone that the config names", async () => {
    const { timings } = await choosePrecision(options({ channelsLast: "off" }), WITH_BFLOAT16);
    expect(timings?.map(({ amp, channelsLast }) => [amp, channelsLast])).toEqual([
      [true, false],
      [false, false],
    ]);
  });

  it("takes what an earlier run measured, so that runs repeat", async () => {
    await choosePrecision(options(), WITH_BFLOAT16);
    await setTimes({ bfloat16: 10, last: 20, first: 30 });
    expect(await choosePrecision(options(), WITH_BFLOAT16)).toMatchObject({ amp: true, channelsLast: true });
    await setTimes({ bfloat16: 30, last: 20, first: 10 });
    expect(await choosePrecision(options(), WITH_BFLOAT16)).toMatchObject({ amp: false, channelsLast: false });
  });

  it("prefers float32 unless bfloat16 is faster by more than 3 %", async () => {
    await choosePrecision(options(), WITH_BFLOAT16);
    await setTimes({ bfloat16: 98, last: 100, first: 200 });
    expect(await choosePrecision(options(), WITH_BFLOAT16)).toMatchObject({ amp: false, channelsLast: true });
    await setTimes({ bfloat16: 96, last: 100, first: 200 });
    expect(await choosePrecision(options(), WITH_BFLOAT16)).toMatchObject({ amp: true, channelsLast: true });
  });

  it("leaves out a precision in which the network cannot compute", async () => {
    await choosePrecision(options(), WITH_BFLOAT16);
    await setTimes({ bfloat16: null, last: 100, first: 200 });
    expect(await choosePrecision(options(), WITH_BFLOAT16)).toMatchObject({ amp: false, channelsLast: true });
  });

  it("is the same for two runs that measure at the same time", async () => {
    const [one, other] = await Promise.all([
      choosePrecision(options(), WITH_BFLOAT16),
      choosePrecision(options(), WITH_BFLOAT16),
    ]);
    expect(one).toEqual(other);
  });

  it("measures again if the cache is damaged, and replaces it", async () => {
    await choosePrecision(options(), WITH_BFLOAT16);
    const file = await stored();
    await writeFile(file, "{");
    const { timings } = await choosePrecision(options(), WITH_BFLOAT16);
    expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ timings });
  });

  it("measures each network and each shape by itself", async () => {
    await choosePrecision(options(), WITH_BFLOAT16);
    await choosePrecision(options({ batchSize: 8 }), WITH_BFLOAT16);
    expect(await readdir(join(cache, "batch-cam/precision"))).toHaveLength(2);
  });

  it("leaves the model's statistics and the generator as they were", async () => {
    manualSeed(3);
    const chosen = options();
    const state = () => [...chosen.model.stateDict()].map(([name, value]) => [name, [...value.data()].map(String)]);
    const before = { state: state(), draws: getRngState().data() };
    await choosePrecision(chosen, WITH_BFLOAT16);
    expect({ state: state(), draws: getRngState().data() }).toEqual(before);
  });

  it.each([
    ["a config that decides", options({ amp: "on" }), WITH_BFLOAT16],
    ["an environment variable", options(), { fastBfloat16: true, forcedBfloat16: "on" as const }],
    ["a processor without bfloat16", options(), { fastBfloat16: false, forcedBfloat16: null }],
    ["a run of few steps", options({}, 199), WITH_BFLOAT16],
  ])("does not measure for %s", async (_, chosen, processor) => {
    expect((await choosePrecision(chosen, processor)).timings).toBeNull();
  });
});

describe("recordedPrecision", () => {
  const record = (environment: object) => writeFile(join(cache, "environment.json"), JSON.stringify(environment));

  it("is the one that the last part of the run used", async () => {
    const resumed = [{ fromStep: 10, precision: "bfloat16", layout: "channels last" }];
    await record({ precision: "float32", layout: "channels first", resumed });
    expect(await recordedPrecision(cache, config, WITH_BFLOAT16)).toEqual({ amp: true, channelsLast: true });
    await record({ precision: "float32", layout: "channels first" });
    expect(await recordedPrecision(cache, config, WITH_BFLOAT16)).toEqual({ amp: false, channelsLast: false });
  });

  it("is float32 if the processor has no bfloat16", async () => {
    await record({ precision: "bfloat16", layout: "channels last" });
    const processor = { fastBfloat16: false, forcedBfloat16: null };
    expect(await recordedPrecision(cache, config, processor)).toEqual({ amp: false, channelsLast: true });
  });

  it("is that of the config if it names one", async () => {
    await record({ precision: "bfloat16", layout: "channels last" });
    expect(await recordedPrecision(cache, { ...config, amp: "off", channelsLast: "off" }, WITH_BFLOAT16)).toEqual({
      amp: false,
      channelsLast: false,
    });
  });
});
