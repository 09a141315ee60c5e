import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { readConfigFile } from "./config-file.ts";

let folder = "";
beforeAll(async () => {
  folder = temporaryFolder("config");
});

async function read(name: string, text: string | Buffer) {
  const path = join(folder, name);
  await writeFile(path, text);
  return await readConfigFile(path);
}

describe("a config file", () => {
  it("is YAML or JSON according to its extension", async () => {
    const expected = { lr: 1e-3, plain: true, amp: "off", output: "my runs" };
    expect(await read("a.yaml", 'lr: 1e-3 # rate\nplain: true\namp: off\noutput: "my runs"\n')).toEqual(expected);
    expect(await read("a.YML", "{ lr: 0.001, plain: true, amp: off, output: my runs }")).toEqual(expected);
    expect(await read("a.json", JSON.stringify(expected))).toEqual(expected);
  });

  it("may begin with a byte-order mark, which some editors write", async () => {
    expect(await read("bom.json", '\uFEFF{"lr":1}')).toEqual({ lr: 1 });
    expect(await read("bom.yaml", "\uFEFFlr: 1")).toEqual({ lr: 1 });
  });

  it("may be empty or contain only comments", async () => {
    expect(await read("empty.yaml", "")).toEqual({});
    expect(await read("comment.yaml", "# nothing yet\n")).toEqual({});
  });

  it.each([
    ["tab.yaml", "lr: 1\nopt:\n\t- x\n", /malformed YAML: the indentation or a colon is wrong near line 3 \(Tabs/],
    ["indent.yaml", "lr: 1\n  epochs: 3\nopt: sgd\n", /the indentation or a colon is wrong near line 2 \(Nested/],
    ["deeper.yaml", "opt: sgd\nlr: 1\n\n  epochs: 3\n", /the indentation or a colon is wrong near line 4 \(Nested/],
    ["shallow.yaml", "a:\n  lr: 1\n epochs: 3\n", /the indentation or a colon is wrong near line 3 \(All mapping/],
    ["colon.yaml", "lr: 1\nepochs 3\nopt: sgd\n", /the indentation or a colon is wrong near line 2 \(Implicit/],
    ["open.yaml", 'lr: 1\noutput: "runs\n', /malformed YAML at line \d: /],
    ["twice.yaml", "lr: 1\nepochs: 2\nlr: 3\n", /malformed YAML at line 3: .*unique/],
    ["alias.yaml", "lr: *rate\n", /malformed YAML/],
    ["two.yaml", "lr: 1\n---\nlr: 2\n", /malformed YAML/],
    ["comma.json", '{\n  "lr": 1,\n  "epochs": 2,\n}\n', /malformed JSON at line 4: /],
    ["short.json", '{\n  "lr": 1', /malformed JSON at line 2: /],
    ["empty.json", "", /malformed JSON at line 1: /],
    ["comment.json", '{\n// rate\n"lr": 1}', /malformed JSON at line 2: /],
    ["binary.json", Buffer.from([0xff, 0xfe, 0, 1]), /malformed JSON/],
    ["list.yaml", "- lr\n- 1\n", /expected options as "key: value", got a list/],
    ["text.yaml", "lr\n", /expected options as "key: value", got "lr"/],
    ["number.json", "3", /expected options as "key: value", got 3/],
  ])("that is malformed (%s) is refused with its name and line", async (name, text, message) => {
    const failure = await read(name, text).catch((error) => error);
    expect(failure).toMatchObject({ code: "E_CONFIG", message: expect.stringMatching(message) });
    expect(failure.message).toContain(name);
    expect(failure.message).not.toContain("\n");
  });

  it("with aliases that multiply is refused before they are expanded", async () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) =>
        `a${i}: &a${i} [${Array(10)
          .fill(i === 0 ? "x" : `*a${i - 1}`)
          .join(", ")}]`,
    );
    await expect(read("bomb.yaml", levels.join("\n"))).rejects.toMatchObject({ code: "E_CONFIG" });
  });

  it("with another extension is refused", async () => {
    await expect(read("a.toml", "lr = 1")).rejects.toMatchObject({
      code: "E_CONFIG",
      message: expect.stringContaining(".yaml, .yml or .json"),
    });
  });

  it("that cannot be read is refused with the reason", async () => {
    await mkdir(join(folder, "dir.yaml"));
    await expect(readConfigFile(join(folder, "none.yaml"))).rejects.toMatchObject({
      code: "E_IO",
      message: expect.stringContaining("no such file"),
    });
    await expect(readConfigFile(join(folder, "dir.yaml"))).rejects.toMatchObject({
      code: "E_IO",
      message: expect.stringContaining("it is a folder"),
    });
  });

  it.skipIf(process.getuid?.() === 0)("without read permission is refused with that reason", async () => {
    await writeFile(join(folder, "secret.yaml"), "lr: 1");
    await chmod(join(folder, "secret.yaml"), 0);
    await expect(readConfigFile(join(folder, "secret.yaml"))).rejects.toThrow(/permission denied/);
  });
});
