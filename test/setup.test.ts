import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { toolReport } from "../scripts/setup/report.mjs";
import { startNode } from "./support/node-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

let place: string;
beforeEach(() => {
  place = temporaryFolder("setup");
});

type Env = Record<string, string>;
interface Outcome {
  status: number | string | null;
  said: string;
}

function setup(env: Env, root = "."): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "scripts/setup.mjs")], {
    encoding: "utf8",
    env: { ...process.env, ...env },
    timeout: 100_000,
  });
  return { status, said: `${stdout}${stderr}` };
}

/** Every refusal must contain the cause and the remedy, and no stack trace unless the set-up itself is at fault. */
function expectRefusal({ status, said }: Outcome, cause: RegExp, remedy: RegExp) {
  expect(said).toMatch(cause);
  expect(said.split("remedy: ")[1]).toMatch(remedy);
  expect(said).not.toMatch(/at .*\.mjs:\d+|unexpected:/);
  expect(status).toBe(1);
}

/** A checkout in which nothing is built. Its scripts and npm packages are those of this checkout, and its addon has no sources. */
function bareCheckout(root = join(place, "checkout"), { packages = true } = {}): string {
  mkdirSync(join(root, "native"), { recursive: true });
  for (const name of ["setup", "setup.mjs"]) {
    cpSync(join("scripts", name), join(root, "scripts", name), { recursive: true });
  }
  for (const name of ["package.json", "package-lock.json", "native/CMakeLists.txt"]) cpSync(name, join(root, name));
  if (packages) symlinkSync(resolve("node_modules"), join(root, "node_modules"));
  return root;
}

const IDLE = "exit 0";
/** A fake python3 that describes itself as given, and runs `pip` for `-m pip`. */
const python = (about: object, pip = IDLE) => `case "$1" in
-c) echo 'probe ${JSON.stringify({ version: [3, 12], torch: null, pip: true, ...about })}' ;;
*) ${pip} ;;
esac`;
const ALL = { "c++": IDLE, cmake: IDLE, make: IDLE, python3: python({}) };

/** The environment of a machine on which PATH has only these programs, given as shell scripts. */
function machine(programs: Env, env: Env = {}): Env {
  const bin = temporaryFolder("bin");
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return { PATH: bin, CXX: "", LIBTORCH: "", npm_execpath: "", BATCH_CAM_CACHE: join(place, "cache"), ...env };
}

const without = (name: keyof typeof ALL): Env =>
  Object.fromEntries(Object.entries(ALL).filter(([key]) => key !== name));

/** The libtorch that this checkout's addon was built against. */
const builtAgainst = (): string => JSON.parse(readFileSync("native/build/stamp.json", "utf8")).libtorch;

/** A folder that looks like libtorch, but whose libraries are empty. */
function fakeLibtorch(folder: string, version = "2.11.0"): string {
  for (const name of ["lib", "include/ATen"]) mkdirSync(join(folder, name), { recursive: true });
  for (const name of ["libtorch_cpu", "libc10"]) {
    for (const extension of ["so", "dylib"]) writeFileSync(join(folder, `lib/${name}.${extension}`), "");
  }
  writeFileSync(join(folder, "include/ATen/ATen.h"), "");
  writeFileSync(join(folder, "version.py"), `__version__ = '${version}'\n`);
  return folder;
}

describe("doctor before the build", () => {
  it.each<[string, () => Env, RegExp]>([
    [
      "the libtorch of LIBTORCH",
      () => ({ LIBTORCH: fakeLibtorch(join(place, "own"), "2.12.0") }),
      /2\.12\.0 in .*own \(from LIBTORCH\)/,
    ],
    [
      "a LIBTORCH that does not exist",
      () => ({ LIBTORCH: "/nowhere" }),
      /missing: LIBTORCH=\/nowhere: no such folder; unset LIBTORCH/,
    ],
    [
      "the one that set-up would download",
      () => ({}),
      /missing: 2\.7 or newer is needed; the set-up downloads 2\.11\.0 into .*cache/,
    ],
  ])("names %s", (_, env, expected) => {
    const rows = toolReport({ root: resolve("."), env: machine(ALL, env()) }).split("\n");
    expect(rows.find((row) => row.startsWith("libtorch "))).toMatch(expected);
  });
});

describe("set-up", () => {
  it("prints nothing and succeeds within two seconds if there is nothing to do", () => {
    expect(setup({}).status).toBe(0);
    const times = [1, 2, 3].map(() => {
      const start = performance.now();
      expect(setup({})).toEqual({ status: 0, said: "" });
      return performance.now() - start;
    });
    expect(Math.min(...times)).toBeLessThan(2_000); // the shortest time, because other tests may be using the machine
  });

  it.each([
    ["C++ compiler", without("c++"), /no C\+\+ compiler on PATH/, /^install one .*apt install g\+\+.*CXX/],
    ["cmake", without("cmake"), /cmake is not on PATH/, /^install it .*apt install cmake.*pip install cmake/],
    ["make", without("make"), /neither ninja nor make is on PATH/, /^install one .*ninja-build/],
    ["python3", without("python3"), /no working python3 to fetch/, /^install Python 3 with pip .*LIBTORCH/],
    ["working python3", { ...ALL, python3: "exit 1" }, /no working python3 to fetch/, /^install Python 3 with pip/],
    ["pip", { ...ALL, python3: python({ pip: false }) }, /python3 has no pip/, /^install pip .*ensurepip.*LIBTORCH/],
  ])("names cause and remedy if there is no %s", (_, programs, cause, remedy) => {
    expectRefusal(setup(machine(programs), bareCheckout()), cause, remedy);
  });

  it("names a CXX that is not a program", () => {
    const env = machine(ALL, { CXX: "no-such-compiler" });
    expectRefusal(setup(env, bareCheckout()), /CXX=no-such-compiler is not a program/, /name it in CXX/);
  });

  it("names cause and remedy if there is no npm", () => {
    const root = bareCheckout(undefined, { packages: false });
    expectRefusal(setup(machine(ALL), root), /npm is not on PATH/, /^install Node with npm/);
  });
});

describe("a tool that fails", () => {
  const says = (text: string) => `echo '${text}'; exit 1`;
  const npm = (text: string) => says(text.replace(/^/gm, "npm error "));

  it.each([
    [
      "has no write permission",
      "code EACCES\npath /x/node_modules",
      /npm may not write to \/x\/node_modules/,
      /^give yourself/,
    ],
    [
      "finds an outdated lock file",
      "code EUSAGE\nnot in sync",
      /package-lock\.json do not match/,
      /^run `npm install`/,
    ],
    ["finds the disk full", "code ENOSPC\nno space", /no space left on the disk while npm/, /^free some space/],
    ["receives an untrusted certificate", "code SELF_SIGNED_CERT_IN_CHAIN", /does not trust/, /NODE_EXTRA_CA_CERTS/],
    ["fails for another reason", "code EWHATEVER", /npm ci failed\n.*EWHATEVER/, /^fix what npm reports above/],
  ])("is reported with cause and remedy if npm %s", (_, text, cause, remedy) => {
    const root = bareCheckout(undefined, { packages: false });
    expectRefusal(setup(machine({ ...ALL, npm: npm(text) }), root), cause, remedy);
  });

  it.each([
    ["fills the disk", "OSError: [Errno 28] No space left on device", /no space left .* while pip/, /BATCH_CAM_CACHE/],
    ["finds no wheel", "ERROR: No matching distribution found for torch", /pip found no wheel of torch==/, /LIBTORCH/],
    ["fails for another reason", "ERROR: whatever", /wheels\n.*ERROR: whatever/, /^fix what pip reports .*LIBTORCH/],
  ])("is reported with cause and remedy if pip %s", (_, text, cause, remedy) => {
    const env = machine({ ...ALL, python3: python({}, says(text)) });
    expectRefusal(setup(env, bareCheckout()), cause, remedy);
  });

  it.each([
    [
      "finds cmake too old",
      "CMake 3.18 or higher is required.  You are running version 3.10.2",
      /cmake 3\.10\.2 is too old/,
      /pip/,
    ],
    ["runs out of memory", "c++: fatal error: Killed signal terminated program cc1plus", /out of memory/, /LEVEL=1/],
    [
      "fills the disk",
      "fatal error: error writing to x.s: No space left on device",
      /no space left/,
      /^free some space/,
    ],
    [
      "finds an error",
      "tensor.cc:1:1: error: what is this",
      /does not compile\n.*tensor\.cc:1:1/,
      /whole output: .*build\.log/,
    ],
  ])("is reported with cause and remedy if the build %s", (_, text, cause, remedy) => {
    const env = machine({ ...ALL, cmake: says(text) }, { LIBTORCH: builtAgainst() });
    expectRefusal(setup(env, bareCheckout()), cause, remedy);
  });
});

describe("a LIBTORCH that cannot be used", () => {
  const OWN_COPY = /^unset LIBTORCH .*2\.7 or newer/;

  it.each([
    ["is not a folder", () => join(place, "nowhere"), /LIBTORCH=.*nowhere: no such folder/],
    ["contains no library", () => place, /LIBTORCH=.*: lib\/libtorch_cpu\.\w+ is not in it/],
    ["is the folder above", () => resolve(fakeLibtorch(join(place, "torch")), ".."), /did you mean .*torch\?/],
    [
      "contains no headers",
      () => {
        const folder = fakeLibtorch(join(place, "torch"));
        rmSync(join(folder, "include"), { recursive: true });
        return folder;
      },
      /the headers are not in it/,
    ],
    [
      "is too old",
      () => fakeLibtorch(join(place, "torch"), "2.6.0+cpu"),
      /libtorch 2\.6\.0\+cpu.* needs 2\.7 or newer/,
    ],
    [
      "is a damaged copy",
      () => fakeLibtorch(join(place, "torch")),
      /libtorch 2\.11\.0 in .* does not load: .*torch_cpu/,
    ],
  ])("is refused with the remedy if it %s", (_, make, cause) => {
    expectRefusal(setup(machine(ALL, { LIBTORCH: make() }), bareCheckout()), cause, OWN_COPY);
  });

  it("is refused by its headers' version if it has no version.py", () => {
    const folder = fakeLibtorch(join(place, "torch"));
    rmSync(join(folder, "version.py"));
    const headers = join(folder, "include/torch/csrc/api/include/torch");
    mkdirSync(headers, { recursive: true });
    const parts = Object.entries({ MAJOR: 1, MINOR: 13, PATCH: 1 });
    const lines = parts.map(([part, value]) => `#define TORCH_VERSION_${part} ${value}\n`);
    writeFileSync(join(headers, "version.h"), lines.join(""));
    expectRefusal(setup(machine(ALL, { LIBTORCH: folder }), bareCheckout()), /libtorch 1\.13\.1, .*2\.7/, OWN_COPY);
  });
});

describe("without a network", () => {
  const NOWHERE = "http://127.0.0.1:9";
  const CONNECT = /^connect \(or set HTTPS_PROXY\) and run `npm run setup` again/;

  it("reports that pip cannot reach it, after skipping a torch of python3 that is too old", () => {
    const real = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
    const torch = fakeLibtorch(join(place, "torch"), "2.4.1");
    const programs = { ...ALL, python3: python({ torch }, `exec '${real}' "$@"`) };
    const settings = { PIP_INDEX_URL: NOWHERE, PIP_RETRIES: "1", PIP_CONFIG_FILE: "/dev/null", PIP_FIND_LINKS: "" };
    const outcome = setup(machine(programs, { ...settings, PIP_EXTRA_INDEX_URL: "" }), bareCheckout());
    expect(outcome.said).toMatch(/python3's torch is skipped: .*2\.4\.1/);
    expectRefusal(outcome, /pip could not reach the network/, CONNECT);
    expect(readdirSync(join(place, "cache/batch-cam")).filter((name) => !/\.lock\.\d+$/.test(name))).toEqual([]);
  });

  it("reports that npm cannot reach it", () => {
    const settings = {
      npm_config_registry: NOWHERE,
      npm_config_cache: join(place, "npm"),
      npm_config_fetch_retries: "0",
    };
    const outcome = setup(settings, bareCheckout(undefined, { packages: false }));
    expectRefusal(outcome, /npm could not reach the network/, CONNECT);
  });
});

describe("a place that cannot be written", () => {
  const OTHER_CACHE = /set BATCH_CAM_CACHE to a folder .*LIBTORCH/;

  it.runIf(process.platform === "linux")("is refused without waiting if it is below /proc", () => {
    const env = machine(ALL, { BATCH_CAM_CACHE: "/proc/batch-cam/cache" });
    expectRefusal(setup(env, bareCheckout()), /cannot make the folder \/proc\/batch-cam: .*ENOENT/, OTHER_CACHE);
  });

  it("is refused if a file has the cache's name", () => {
    writeFileSync(join(place, "file"), "");
    const env = machine(ALL, { BATCH_CAM_CACHE: join(place, "file") });
    expectRefusal(setup(env, bareCheckout()), /cannot make the folder .*file: .*EEXIST/, OTHER_CACHE);
  });

  it("is refused if a file has the build folder's name", () => {
    const root = bareCheckout();
    writeFileSync(join(root, "native/build"), "");
    expectRefusal(setup(machine(ALL), root), /cannot make the folder .*native\/build: .*EEXIST/, /^move it away/);
  });
});

/** Whether this process may mount a file system of limited size. */
const canMount = (() => {
  const folder = temporaryFolder("mount");
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).status !== 0) return false;
  return spawnSync("umount", [folder]).status === 0;
})();

describe.runIf(canMount)("on a separate disk", () => {
  let disk: string;
  const mount = (...options: string[]) =>
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", options.join(","), "tmpfs", disk]).status).toBe(0);
  beforeEach(() => {
    disk = join(place, "disk");
    mkdirSync(disk);
  });
  afterEach(() => spawnSync("umount", [disk]));

  it("reports before the download that the cache's disk is too small", () => {
    mount("size=1m");
    expectRefusal(
      setup(machine(ALL, { BATCH_CAM_CACHE: disk }), bareCheckout()),
      /no disk space for libtorch: [\d.]+ GB are needed in .*disk.*, 0\.0 GB are free/,
      /^free some space, set BATCH_CAM_CACHE/,
    );
  });

  it.each([
    ["has no space left for", "nr_inodes=1", /cannot make the folder .*: no space left on the disk \(ENOSPC\)/],
    ["is read-only under", "ro", /cannot make the folder .*: the file system is read-only \(EROFS\)/],
  ])("reports that the disk %s the cache", (_, option, cause) => {
    mount("size=1m", option);
    expectRefusal(setup(machine(ALL, { BATCH_CAM_CACHE: disk }), bareCheckout()), cause, /set BATCH_CAM_CACHE to/);
  });

  it.each([
    ["cmake's files", 8_192],
    ["the compiler's files", 65_536],
  ])("reports that the disk is full of %s", (_, room) => {
    mount("size=1m");
    const root = bareCheckout(join(disk, "checkout"));
    mkdirSync(join(root, "native/binding"));
    writeFileSync(join(root, "native/binding/addon.cc"), "");
    const { bavail, bsize } = statfsSync(disk);
    writeFileSync(join(disk, "ballast"), Buffer.alloc((bavail - room / 4_096) * bsize));
    const outcome = setup({ LIBTORCH: builtAgainst() }, root);
    expectRefusal(outcome, /no space left on the disk/, /^free some space, or move the checkout/);
  });
});

describe("the shared cache", () => {
  // A fake pip that unpacks an empty libtorch and counts its calls. The set-up then fails because that does not load, but it has filled the
  // cache.
  let wheels: string;
  let calls: string;
  beforeAll(() => {
    wheels = temporaryFolder("wheels");
    fakeLibtorch(join(wheels, "torch"));
    mkdirSync(join(wheels, "torch-2.11.0.dist-info"));
    const record =
      "torch/include/ATen/ATen.h,sha256=0,0\ntorch/lib/libtorch_cpu.so,sha256=0,0\ntorch-2.11.0.dist-info/RECORD,,\n";
    writeFileSync(join(wheels, "torch-2.11.0.dist-info/RECORD"), record);
  });
  beforeEach(() => {
    calls = join(place, "calls");
  });
  const pip = (more = "") => `for last in "$@"; do case "$before" in --target) target=$last ;; esac; before=$last; done
echo "$target" >> '${join(place, "calls")}'
mkdir -p "$target"
cp -r '${wheels}/torch' "$target"
${more}
cp -r '${wheels}/torch-2.11.0.dist-info' "$target"`;
  const withPip = (more?: string) => machine({ ...ALL, python3: python({}, pip(more)) });
  const fetches = () => readFileSync(calls, "utf8").trimEnd().split("\n").length;
  const LOADS_NOT = /libtorch 2\.11\.0 in .*cache.* does not load/;

  function start(env: Env, root: string) {
    const { child, text, ended } = startNode([join(root, "scripts/setup.mjs")], { env, detached: true });
    return { child, ended: ended.then((status) => ({ status, said: text.err })) };
  }

  it("is filled once by two checkouts that are set up at the same time", async () => {
    const env = withPip("sleep 1");
    const running = ["one", "two"].map((name) => start(env, bareCheckout(join(place, name))).ended);
    const outcomes = await Promise.all(running);
    for (const outcome of outcomes) expectRefusal(outcome, LOADS_NOT, /LIBTORCH/);
    expect(fetches()).toBe(1);
    expect(outcomes.filter(({ said }) => /waiting for another set-up \(process \d+\)/.test(said))).toHaveLength(1);
  });

  it.each([
    ["a header is missing", (torch: string) => rmSync(join(torch, "include/ATen/ATen.h")), /ATen\.h/],
    [
      "a library is incomplete",
      (torch: string) => appendFileSync(join(torch, "lib/libtorch_cpu.so"), "?"),
      /libtorch_cpu/,
    ],
  ])("is downloaded again if %s", (_, damage, note) => {
    const root = bareCheckout();
    setup(withPip(), root);
    setup(withPip(), root);
    expect(fetches()).toBe(1);
    const [name = ""] = readdirSync(join(place, "cache/batch-cam")).filter((each) =>
      /^libtorch-[^.]*\.[^.]*\.[^.]*$/.test(each),
    );
    damage(join(place, "cache/batch-cam", name, "torch"));
    const { said } = setup(withPip(), root);
    expect(said).toMatch(/the cached libtorch is skipped/);
    expect(said).toMatch(note);
    expect(fetches()).toBe(2);
  });

  it.each(["SIGKILL", "SIGINT"] as const)(
    "is filled by the next set-up after %s has ended one and its pip, which takes a moment to end",
    async (signal) => {
      const root = bareCheckout();
      const [pid, overlap] = [join(place, "pid"), join(place, "overlap")];
      const { child, ended } = start(withPip(`trap '' TERM; echo $$ > '${pid}'; sleep 60; sleep 60`), root);
      while (!existsSync(pid)) await sleep(20);
      process.kill(-(child.pid ?? Number.NaN), signal); // kills the whole process group, as a terminal or a job scheduler does
      await ended;
      const outcome = setup(withPip(`kill -0 $(cat '${pid}') && touch '${overlap}'`), root);
      expectRefusal(outcome, LOADS_NOT, /LIBTORCH/);
      expect(fetches()).toBe(2);
      expect(existsSync(overlap)).toBe(false);
      expect(readdirSync(join(place, "cache/batch-cam")).filter((name) => name.includes("partial"))).toEqual([]);
    },
  );
});
