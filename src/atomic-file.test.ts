import { open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../test/support/temporary-folder.ts";
import { isTemporary, makeFolder, replaceFile, writeFileAtomically } from "./atomic-file.ts";
import { BatchCamError } from "./errors.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = temporaryFolder("atomic");
  path = join(folder, "file.txt");
  await writeFile(path, "old");
});

const names = async () => (await readdir(folder)).toSorted();
const expectUntouched = async () => {
  expect(await readFile(path, "utf8")).toBe("old");
  expect(await names()).toEqual(["file.txt"]);
};

describe("replaceFile", () => {
  it("shows the old content until the new one is complete", async () => {
    await replaceFile(path, async (file) => {
      await file.writeFile("half of ");
      expect(await readFile(path, "utf8")).toBe("old");
      const others = (await names()).filter((name) => name !== "file.txt");
      expect(others.map(isTemporary)).toEqual([true]);
      await file.writeFile("the new");
    });
    expect(await readFile(path, "utf8")).toBe("half of the new");
    expect(await names()).toEqual(["file.txt"]);
  });

  it.runIf(process.platform === "linux")(
    "reports a full disk as E_IO with the remedy, the old file intact",
    async () => {
      const saving = replaceFile(path, async (file) => {
        await file.writeFile("half of ");
        const full = await open("/dev/full", "w");
        await full.writeFile("the new").finally(() => full.close());
      });
      await expect(saving).rejects.toMatchObject({
        code: "E_IO",
        message: expect.stringMatching(/cannot write .*file\.txt: ENOSPC.*; free disk space/),
      });
      await expectUntouched();
    },
  );

  it.each([new BatchCamError("E_DISPOSED", "gone"), new TypeError("a mistake of the caller's")])(
    "passes on what the writer throws as it is (%s)",
    async (error) => {
      await expect(replaceFile(path, () => Promise.reject(error))).rejects.toBe(error);
      await expectUntouched();
    },
  );

  it("reports a target that is a folder, or is below a file, as E_IO", async () => {
    for (const target of [folder, join(path, "below", "a file")]) {
      await expect(writeFileAtomically(target, "new")).rejects.toMatchObject({ code: "E_IO" });
    }
    await expectUntouched();
  });

  it("reports a folder that may not be written as E_IO", async () => {
    // /proc refuses new files even for root, who may ignore permission bits.
    const target = process.platform === "linux" ? "/proc/batch-cam" : join(path, "x");
    await expect(writeFileAtomically(target, "new")).rejects.toMatchObject({ code: "E_IO" });
  });

  it("takes a name of the greatest length that the file system allows", async () => {
    const long = join(folder, "n".repeat(255));
    await writeFileAtomically(long, "new");
    expect(await readFile(long, "utf8")).toBe("new");
  });

  it("leaves one whole file when several writers overlap", async () => {
    const contents = ["a", "b", "c"].map((letter) => letter.repeat(300_000));
    await Promise.all(contents.map((content) => writeFileAtomically(path, content)));
    expect(contents).toContain(await readFile(path, "utf8"));
    expect(await names()).toEqual(["file.txt"]);
  });
});

describe("makeFolder", () => {
  it("makes the parents that are missing, also when several make them at once, and leaves a folder that is there", async () => {
    const deep = join(folder, "a", "b", "c");
    await Promise.all([1, 2, 3].map(() => makeFolder(deep)));
    await writeFileAtomically(join(deep, "file"), "kept");
    await makeFolder(deep);
    expect(await readFile(join(deep, "file"), "utf8")).toBe("kept");
  });

  it.runIf(process.platform === "linux")("is refused, not waited for, below /proc", async () => {
    const below = "/proc/batch-cam/run";
    // Run one after the other, because a rejection that is not awaited yet would end the test run.
    for (const make of [() => makeFolder(below), () => writeFileAtomically(join(below, "file"), "new")]) {
      await expect(make()).rejects.toMatchObject({
        code: "E_IO",
        message: expect.stringMatching(/cannot (make|write) .*ENOENT.*; the folder .*choose another/),
      });
    }
  });

  it("says what to do where a file has the name of the folder or of a parent", async () => {
    for (const target of [path, join(path, "below")]) {
      await expect(makeFolder(target)).rejects.toMatchObject({
        code: "E_IO",
        message: expect.stringMatching(/cannot make the folder .*; choose a path whose parent is a folder/),
      });
    }
  });
});

describe("isTemporary", () => {
  it("knows leftovers of a killed process from the files of a user", () => {
    expect(isTemporary(".last.safetensors-0123456789ab.tmp")).toBe(true);
    for (const name of ["last.safetensors", ".last.tmp", "x-0123456789ab.tmp", ".hidden"]) {
      expect(isTemporary(name)).toBe(false);
    }
  });
});
