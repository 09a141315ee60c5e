import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { lockRun } from "./run-lock.ts";

let folder: string;
beforeEach(() => {
  folder = temporaryFolder("lock");
});

/** The number of a process that has ended. */
function gone(): number {
  return Number(execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }));
}

const left = { host: hostname(), began: "1" };

describe("lockRun", () => {
  it("refuses a second claim while the first is held, and leaves no file", () => {
    const release = lockRun(folder);
    expect(() => lockRun(folder)).toThrow(
      expect.objectContaining({
        code: "E_CHECKPOINT",
        message: expect.stringContaining(`in use by process ${process.pid}`),
      }),
    );
    release();
    lockRun(folder)();
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ["of a process that is gone", () => JSON.stringify({ ...left, pid: gone() })],
    ["of an earlier process with this one's number", () => JSON.stringify({ ...left, pid: process.pid })],
    ["that a kill has torn", () => '{"host":'],
    ["that is empty", () => ""],
    ["that names nobody", () => "{}"],
  ])("takes over a claim %s", (_, text) => {
    writeFileSync(join(folder, "run.lock"), text());
    utimesSync(join(folder, "run.lock"), 1, 1);
    lockRun(folder)();
    expect(existsSync(join(folder, "run.lock"))).toBe(false);
  });

  it.runIf(process.platform === "linux")(
    "takes over a claim of a killed process that its parent never asked about",
    async () => {
      // exec replaces the child's parent by a program that never reads the exit status of its children.
      const script = "sleep 60 & echo $!; exec sleep 60";
      const parent = spawn("bash", ["-c", script], { stdio: ["ignore", "pipe", "inherit"] });
      try {
        const [said] = (await once(parent.stdout, "data")) as [Buffer];
        const pid = Number(String(said));
        const stat = () => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
        await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, "utf8")).toBe("sleep\n");
        process.kill(pid, "SIGKILL");
        await expect.poll(() => stat()[0]).toBe("Z");
        writeFileSync(join(folder, "run.lock"), JSON.stringify({ ...left, pid, began: stat()[19] }));
        lockRun(folder)();
        expect(readdirSync(folder)).toEqual([]);
      } finally {
        parent.kill();
      }
    },
  );

  it("takes over a torn claim that another clock dated in the future", () => {
    writeFileSync(join(folder, "run.lock"), "");
    const nextYear = Date.now() / 1000 + 3e7;
    utimesSync(join(folder, "run.lock"), nextYear, nextYear);
    lockRun(folder)();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("replaces a broken link, and writes nothing where it led", () => {
    const elsewhere = join(folder, "elsewhere");
    symlinkSync(elsewhere, join(folder, "run.lock"));
    const release = lockRun(folder);
    expect(lstatSync(join(folder, "run.lock")).isFile()).toBe(true);
    expect(existsSync(elsewhere)).toBe(false);
    release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ["a folder", (path: string) => mkdirSync(path)],
    ["a named pipe", (path: string) => void execFileSync("mkfifo", [path])],
  ])("refuses %s in a claim's place at once", (kind, make) => {
    make(join(folder, "run.lock"));
    expect(() => lockRun(folder)).toThrow(
      expect.objectContaining({ code: "E_IO", message: expect.stringContaining(`regular file, got ${kind}`) }),
    );
  });

  it("waits for a claim that is just being written, if there are no hard links", () => {
    writeFileSync(join(folder, "run.lock"), "");
    expect(() => lockRun(folder)).toThrow(expect.objectContaining({ code: "E_CHECKPOINT" }));
  });

  it("leaves a claim of another machine alone", () => {
    writeFileSync(join(folder, "run.lock"), JSON.stringify({ ...left, host: "elsewhere", pid: 1 }));
    expect(() => lockRun(folder)).toThrow(/in use by process 1 on elsewhere/);
  });

  it("gives back only its own claim", () => {
    const release = lockRun(folder);
    writeFileSync(join(folder, "run.lock"), JSON.stringify({ ...left, host: "elsewhere", pid: 1 }));
    release();
    expect(existsSync(join(folder, "run.lock"))).toBe(true);
  });

  it("says what is wrong where the claim cannot be written", () => {
    mkdirSync(join(folder, "run.lock"));
    expect(() => lockRun(folder)).toThrow(expect.objectContaining({ code: "E_IO" }));
    expect(() => lockRun(join(folder, "missing"))).toThrow(expect.objectContaining({ code: "E_IO" }));
  });

  it("lets one of several processes win that come at the same moment, over a dead one's claim too", async () => {
    const program = `
      const { lockRun } = await import(${JSON.stringify(new URL("../../../dist/train/run/run-lock.js", import.meta.url).href)});
      while (Date.now() < Number(process.argv[1])) {}
      try { lockRun(${JSON.stringify(folder)}); console.log("won"); } catch (error) { console.log(error.code); }
      await new Promise((resolve) => setTimeout(resolve, 1500));
    `;
    for (const stale of [false, true]) {
      if (stale) writeFileSync(join(folder, "run.lock"), JSON.stringify({ ...left, pid: gone() }));
      const at = String(Date.now() + 1500);
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const child = spawn(process.execPath, ["--input-type=module", "-e", program, at], {
            stdio: ["ignore", "pipe", "inherit"],
          });
          let said = "";
          child.stdout.on("data", (chunk) => {
            said += chunk;
          });
          await once(child, "close");
          return said.trim();
        }),
      );
      expect(outcomes.sort()).toEqual([...Array(7).fill("E_CHECKPOINT"), "won"]);
      expect(readdirSync(folder).filter((name) => name.startsWith("run.lock."))).toEqual([]);
      rmSync(join(folder, "run.lock"), { force: true });
    }
  });
});
