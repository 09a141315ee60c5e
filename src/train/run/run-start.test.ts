import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { BatchCamError } from "../../errors.ts";
import { continueOrRestart, decideStart, type FolderState, folderState, type RunStart } from "./run-start.ts";

const run = (more: { fastDevRun?: boolean; checkpoint?: boolean } = {}): FolderState => ({
  ...{ holds: "a run", fastDevRun: false, checkpoint: true, saved: {} },
  ...more,
});

const STATES = {
  nothing: { holds: "nothing" },
  files: { holds: "other files", names: ["a.txt", "b.txt"] },
  damaged: { holds: "a damaged config", problem: "Unexpected end of JSON input" },
  foreign: { holds: "a foreign config" },
  run: run(),
  begun: run({ checkpoint: false }),
  trial: run({ fastDevRun: true }),
} as const satisfies Record<string, FolderState>;

const ASKED = {
  plain: { resume: false, overwrite: false, fastDevRun: false },
  overwrite: { resume: false, overwrite: true, fastDevRun: false },
  trial: { resume: false, overwrite: true, fastDevRun: true },
  resume: { resume: true, overwrite: false, fastDevRun: false },
  path: { resume: "runs/a", overwrite: false, fastDevRun: false },
} as const;

const outcomeOf = (asked: keyof typeof ASKED, state: keyof typeof STATES): string => {
  try {
    return decideStart("runs/a", ASKED[asked], STATES[state]);
  } catch (error) {
    if (!(error instanceof BatchCamError)) throw error;
    return `${error.code}: ${error.message}`;
  }
};

describe("decideStart", () => {
  it.each<[keyof typeof STATES, RunStart | RegExp, RunStart | RegExp, RunStart | RegExp, RunStart | RegExp]>([
    // in a folder with      asked for a new run, to overwrite, for a fast dev run, to resume
    ["nothing", "new", "new", "new", /E_CONFIG: resume: there is no run in runs\/a/],
    [
      "files",
      /E_CONFIG: runs\/a contains a.txt, b.txt but no run/,
      /but no run/,
      /but no run/,
      /E_CONFIG: resume: there is no run/,
    ],
    [
      "damaged",
      /E_CONFIG: .*config\.json that was not written by batch-cam/,
      /was not written by batch-cam/,
      /was not written by batch-cam/,
      /E_CHECKPOINT: resume: cannot read .*Unexpected end/,
    ],
    [
      "foreign",
      /E_CONFIG: .*was not written by batch-cam/,
      /was not written by batch-cam/,
      /was not written by batch-cam/,
      /E_CHECKPOINT: .*is damaged, or was not written by a run/,
    ],
    [
      "run",
      /E_CONFIG: runs\/a already contains a run: give \{ resume: true \}/,
      "replace",
      /already contains a run/,
      "continue",
    ],
    ["begun", /already contains a run/, "replace", /already contains a run/, "restart"],
    ["trial", /already contains a run/, "replace", "replace", /E_CONFIG: resume: runs\/a is a fast dev run/],
  ])("in a folder that holds %s", (state, plain, overwrite, trial, resume) => {
    const expected = { plain, overwrite, trial, resume, path: resume };
    for (const [asked, outcome] of Object.entries(expected)) {
      const found = outcomeOf(asked as keyof typeof ASKED, state);
      if (typeof outcome === "string") expect(found, asked).toBe(outcome);
      else expect(found, asked).toMatch(outcome);
    }
  });
});

describe("folderState", () => {
  const root = temporaryFolder("run-start");
  const folderWith = (name: string, files: Record<string, string>) => {
    const folder = join(root, name);
    mkdirSync(join(folder, "checkpoints"), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
    return folder;
  };
  const CONFIG = { model: "given", dataset: "mnist", experiment: "a" };

  it("knows a run by its config, of any version, and its checkpoint", async () => {
    const config = JSON.stringify({ ...CONFIG, unknown: 1 });
    expect(await folderState(folderWith("begun", { "config.json": config }))).toMatchObject({ checkpoint: false });
    const whole = folderWith("whole", { "config.json": config, "checkpoints/last.safetensors": "" });
    expect(await folderState(whole)).toMatchObject({ holds: "a run", checkpoint: true, fastDevRun: false });
  });

  it.each<[string, Record<string, string>, FolderState["holds"]]>([
    ["a config without a model", { "config.json": "{}" }, "a foreign config"],
    ["a config that is null", { "config.json": "null" }, "a foreign config"],
    ["half a config", { "config.json": '{"model":' }, "a damaged config"],
    ["a picture", { "a.png": "" }, "other files"],
  ])("knows %s", async (name, files, holds) => {
    expect(await folderState(folderWith(name.replaceAll(" ", "-"), files))).toMatchObject({ holds });
  });

  it("takes the files before training, and no folder, for nothing", async () => {
    const folder = join(root, "beginnings");
    mkdirSync(folder);
    for (const name of ["environment.json", "data.json", "given.json", "run.lock"])
      writeFileSync(join(folder, name), "");
    expect(await folderState(folder)).toEqual({ holds: "nothing" });
    expect(await folderState(join(root, "missing"))).toEqual({ holds: "nothing" });
  });
});

describe("continueOrRestart", () => {
  const root = temporaryFolder("continue");
  const withCheckpoint = join(root, "checkpointed");
  mkdirSync(join(withCheckpoint, "checkpoints"), { recursive: true });
  writeFileSync(join(withCheckpoint, "checkpoints", "last.safetensors"), "");
  const attempt = (directory: string, error?: Error) =>
    continueOrRestart(directory, {
      resume: async () => {
        if (error !== undefined) throw error;
        return "resumed";
      },
      restart: async (reason) => `restarted: ${reason?.code ?? "no checkpoint"}`,
    });

  it.each<[string, string, Error | undefined, string]>([
    ["a checkpoint", withCheckpoint, undefined, "resumed"],
    ["no checkpoint", root, undefined, "restarted: no checkpoint"],
    ["a damaged run", withCheckpoint, new BatchCamError("E_CHECKPOINT", "damaged"), "restarted: E_CHECKPOINT"],
    ["another config", withCheckpoint, new BatchCamError("E_CONFIG", "differs"), "restarted: E_CONFIG"],
  ])("with %s", async (_, directory, error, outcome) => {
    expect(await attempt(directory, error)).toBe(outcome);
  });

  it.each([new BatchCamError("E_DATA", "no images"), new BatchCamError("E_NUMERIC", "NaN"), new TypeError("a bug")])(
    "passes on %s, which training again would meet too",
    async (error) => {
      await expect(attempt(withCheckpoint, error)).rejects.toBe(error);
    },
  );
});
