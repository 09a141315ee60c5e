import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { addonPath, buildStamp, explainLoadFailure } from "./find.ts";

let build: string;
beforeEach(() => {
  build = temporaryFolder("find");
});

const STAMP = {
  libtorch: "/opt/torch",
  library: process.execPath,
  version: "2.11.0",
  node: "20.0.0",
  platform: process.platform,
  arch: process.arch,
  source: "cache",
  compiler: "g++",
};
const stamp = (changes: object = {}) =>
  writeFileSync(join(build, "stamp.json"), JSON.stringify({ ...STAMP, ...changes }));

describe("addonPath", () => {
  it("gives the addon that was built", () => {
    stamp();
    writeFileSync(join(build, "batch_cam.node"), "");
    expect(addonPath(build)).toBe(join(build, "batch_cam.node"));
  });

  it("says to run set-up where nothing is built", () => {
    expect(() => addonPath(build)).toThrow(/not built .*npm run setup/);
  });

  it("tells an addon for another machine", () => {
    stamp({ arch: "sparc" });
    writeFileSync(join(build, "batch_cam.node"), "");
    expect(() => addonPath(build)).toThrow(/built for .*sparc.*npm run setup/);
  });
});

describe("explainLoadFailure", () => {
  it.each([
    [
      "/x/batch_cam.node: undefined symbol: _ZN2at4oops",
      /does not match the libtorch at \/opt\/torch \(built with 2\.11\.0\)/,
    ],
    [
      "libcudart.so.13: cannot open shared object file: No such file or directory",
      /CUDA runtime libraries are missing/,
    ],
    ["libgomp.so.1: cannot open shared object file", /a library that libtorch needs is missing/],
    ["/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found", /C or C\+\+ library is older/],
    [
      "was compiled against a different Node.js version using NODE_MODULE_VERSION 93",
      /Node .* does not match it \(built with 20\.0\.0\)/,
    ],
    ["/x/batch_cam.node: invalid ELF header", /another kind of machine/],
    ["something else", /npm run setup/],
  ])("explains %s", (text, expected) => {
    stamp();
    const error = explainLoadFailure(new Error(`${text}\n at stack`), build);
    expect(error.code).toBe("E_NATIVE");
    expect(error.message).toMatch(expected);
    expect(error.message).toContain("npm run setup");
  });

  it("tells that the libtorch is gone, whatever the loader says", () => {
    stamp({ library: join(build, "no.so") });
    expect(explainLoadFailure(new Error("undefined symbol"), build).message).toMatch(/is gone from \/opt\/torch/);
  });

  it("copes with a stamp that is torn", () => {
    writeFileSync(join(build, "stamp.json"), '{"libtor');
    expect(buildStamp(build)).toBeNull();
    expect(explainLoadFailure("text", build).message).toContain("npm run setup");
  });
});
