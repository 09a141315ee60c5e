import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../test/support/temporary-folder.ts";
import {
  appendRegularText,
  isLink,
  readRegularFile,
  readRegularText,
  readRegularTextSync,
  statOf,
} from "./regular-file.ts";

let folder: string;
beforeAll(() => {
  folder = temporaryFolder("regular-file");
  writeFileSync(join(folder, "text"), "hé");
  mkdirSync(join(folder, "folder"));
  execFileSync("mkfifo", [join(folder, "pipe")]);
  symlinkSync("text", join(folder, "link"));
  symlinkSync("pipe", join(folder, "link-to-pipe"));
  symlinkSync("nothing", join(folder, "dangling"));
});

const READERS = {
  readRegularFile,
  readRegularText,
  readRegularTextSync: async (path: string) => readRegularTextSync(path),
  appendRegularText: (path: string) => appendRegularText(path, "x"),
};

describe.each(Object.entries(READERS))("%s", (_, read) => {
  it.each([
    ["folder", "EISDIR", "a folder"],
    ["pipe", "ENOTREG", "a named pipe"],
    ["link-to-pipe", "ENOTREG", "a named pipe"],
  ])("refuses a %s at once instead of waiting for it", async (name, code, kind) => {
    await expect(read(join(folder, name))).rejects.toMatchObject({
      code,
      syscall: "stat",
      message: `expected a regular file, got ${kind}`,
    });
  });
});

describe("reading", () => {
  it("follows a link to a regular file", async () => {
    expect(await readRegularText(join(folder, "link"))).toBe("hé");
    expect((await readRegularFile(join(folder, "text"))).length).toBe(3);
    expect(readRegularTextSync(join(folder, "link"))).toBe("hé");
  });

  it("keeps the operating system's error for what is not there", async () => {
    await expect(readRegularText(join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
    await expect(readRegularText(join(folder, "dangling"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("makes a file that is appended to", async () => {
    await appendRegularText(join(folder, "new"), "a");
    await appendRegularText(join(folder, "new"), "b");
    expect(readFileSync(join(folder, "new"), "utf8")).toBe("ab");
  });
});

describe("a look at a path", () => {
  it.each(["nothing", "text/below", "dangling/below", "a\0b", "x".repeat(300)])("finds nothing at %j", (name) => {
    expect([statOf(join(folder, name)), isLink(join(folder, name))]).toEqual([undefined, false]);
  });

  it("follows a link, and knows one that leads nowhere", () => {
    expect(statOf(join(folder, "link"))?.isFile()).toBe(true);
    expect([statOf(join(folder, "dangling")), isLink(join(folder, "dangling"))]).toEqual([undefined, true]);
    expect(isLink(join(folder, "text"))).toBe(false);
  });
});
