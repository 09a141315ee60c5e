import { createHash } from "node:crypto";
import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { gridOf } from "../../../test/support/grid-runs.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { parseTrainConfig } from "../../config/index.ts";
import { dataDigests } from "./data-digests.ts";
import { runsOf } from "./grid-runs.ts";

const folder = temporaryFolder();
const path = join(folder, "net.pt2");
const grid = () => gridOf({ models: path, datasets: "mnist", objectives: "plain", seeds: "1" });

async function idNow(): Promise<string> {
  const digests = await dataDigests(runsOf(grid()).map(({ config }) => config as never));
  expect(digests.get(`model ${path}`)).toBe(createHash("sha256").update(readFileSync(path)).digest("hex"));
  const [run] = runsOf(grid(), digests);
  return (run as { id: string }).id;
}

it("gives a run another name when its exported model changes within one process, even at the same size and time", async () => {
  const time = new Date("2026-01-01");
  const write = (text: string) => {
    writeFileSync(path, text);
    utimesSync(path, time, time);
  };
  write("first");
  const first = await idNow();
  expect(await idNow()).toBe(first);
  write("other");
  expect(await idNow()).not.toBe(first);
  write("first");
  expect(await idNow()).toBe(first);
});

it("has no digest of an exported model that cannot be read", async () => {
  const config = parseTrainConfig({ model: join(folder, "missing.pt2"), dataset: "mnist" });
  expect(await dataDigests([config as never])).toEqual(new Map());
});
