import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { listImages, type ReadImagesOptions, readImages } from "./image-folder.ts";

let outer: string;
let folder: string;
beforeEach(async () => {
  outer = temporaryFolder("folder");
  folder = join(outer, "images");
  await mkdir(folder);
});

async function touch(...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), "x");
  }
}

const names = (paths: string[]) => paths.map((path) => path.slice(folder.length + 1));

describe("listImages", () => {
  it("finds every kind of image in a folder and below, in the order of character codes", async () => {
    await touch("b/2.png", "b/10.JPG", "a.jpeg", "a.jfif", "Z.webp", "é.tif", "c.tiff", "c.gif", "b/deep/er/x.avif");
    expect(names(await listImages(folder))).toEqual([
      "Z.webp",
      "a.jfif",
      "a.jpeg",
      "b/10.JPG",
      "b/2.png",
      "b/deep/er/x.avif",
      "c.gif",
      "c.tiff",
      "é.tif",
    ]);
  });

  it("leaves out other files, hidden files and hidden folders", async () => {
    await touch("a.png", "b.psd", "notes.txt", "png", ".hidden.png", ".cache/a.png");
    expect(names(await listImages(folder))).toEqual(["a.png"]);
  });

  it("follows links to files inside the folder only, and no link to a folder", async () => {
    await touch("a/1.png");
    await writeFile(join(outer, "secret.png"), "x");
    await symlink("a/1.png", join(folder, "inside.png"));
    await symlink("../secret.png", join(folder, "outside.png"));
    await symlink(folder, join(folder, "loop"));
    await symlink("nowhere.png", join(folder, "broken.png"));
    expect(names(await listImages(folder))).toEqual(["a/1.png", "inside.png"]);
  });

  it("follows links out of the folder if asked to, but none to a folder that contains it", async () => {
    await touch("a/1.png");
    await mkdir(join(outer, "store/deep"), { recursive: true });
    await writeFile(join(outer, "store/deep/2.png"), "x");
    await symlink(join(outer, "store"), join(folder, "b"));
    await symlink(join(outer, "store"), join(outer, "store/deep/again"));
    await symlink(outer, join(folder, "a/up"));
    const warnings: string[] = [];
    const found = await listImages(folder, { followLinks: true, onWarning: (message) => warnings.push(message) });
    expect(names(found)).toEqual(["a/1.png", "b/deep/2.png"]);
    expect(warnings).toEqual([expect.stringMatching(/left out 2 links to folders that contain them \(.*a\/up.*\)$/)]);
  });

  it("says in one sentence what it left out", async () => {
    await touch("a.png", "b.txt", "c.TXT", ".d");
    const warnings: string[] = [];
    await listImages(folder, { onWarning: (message) => warnings.push(message) });
    expect(warnings).toEqual([`${folder}: left out 2 .txt, 1 hidden`]);
  });

  it("takes a folder that is a link itself", async () => {
    await touch("a.png");
    await symlink("a.png", join(folder, "b.png"));
    await symlink("images", join(outer, "link"));
    const found = await listImages(join(outer, "link"));
    expect(found).toEqual([join(outer, "link", "a.png"), join(outer, "link", "b.png")]);
  });

  it("takes a file as it is, whatever its name", async () => {
    await touch("scan");
    expect(await listImages(join(folder, "scan"))).toEqual([join(folder, "scan")]);
  });

  it("says of a folder without images what it looked for and what is there", async () => {
    await touch("a.psd", "sub/b.psd", "sub/c.txt", "README");
    await expect(listImages(folder)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(
        /^listImages: .*images: contains no images: looked for .png .jpg .jpeg .jpe .jfif .webp .tif .tiff .gif .avif .bmp .heic .heif in it and its subfolders, found 2 .psd, 1 .txt, 1 without extension; ImageMagick converts pictures: mogrify -format png \*.psd; name an image/,
      ),
    });
  });

  it("says of an empty folder that it is empty", async () => {
    await expect(listImages(folder)).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringContaining("found no file"),
    });
  });

  it("names a path that is not there, and refuses a value that is not a path", async () => {
    await expect(listImages(join(folder, "none"))).rejects.toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/none: cannot be read \(ENOENT/),
    });
    await expect(listImages("")).rejects.toMatchObject({ code: "E_ARGUMENT" });
  });
});

describe("readImages", () => {
  /**
   * Writes grey images of increasing size, whose pixels are their number. Larger ones take longer to decode, which
   * tests that the order is kept.
   */
  async function numbered(count: number): Promise<string[]> {
    return Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const side = index % 2 === 0 ? 400 : 2;
        const path = join(folder, `${index}.png`);
        const background = { r: index, g: index, b: index };
        await sharp({ create: { width: side, height: side, channels: 3, background } })
          .png()
          .toFile(path);
        return path;
      }),
    );
  }

  async function collect(paths: string[], options: Partial<ReadImagesOptions> = {}): Promise<number[][]> {
    const batches: number[][] = [];
    for await (const batch of readImages(paths, { channels: 1, ...options })) {
      batches.push(batch.map(({ pixels }) => pixels[0] as number));
    }
    return batches;
  }

  it.each([1, 3, 64])("keeps the order with %i at once, in batches", async (concurrency) => {
    expect(await collect(await numbered(7), { batchSize: 3, concurrency })).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
  });

  it("gives nothing for no paths", async () => {
    expect(await collect([])).toEqual([]);
  });

  it("ends at a file that cannot be read", async () => {
    const paths = await numbered(2);
    await touch("bad.png");
    await expect(collect([...paths, join(folder, "bad.png")])).rejects.toMatchObject({ code: "E_DATA" });
  });

  it("leaves such a file out where the caller takes its error", async () => {
    const [first = "", second = ""] = await numbered(2);
    await touch("bad.png");
    const errors: string[] = [];
    const onError = (error: Error, path: string) => errors.push(`${error.name} ${names([path])}`);
    expect(await collect([first, join(folder, "bad.png"), second], { onError })).toEqual([[0, 1]]);
    expect(errors).toEqual(["BatchCamError bad.png"]);
  });

  it("can be left early, with bad files on their way", async () => {
    const paths = await numbered(1);
    for await (const batch of readImages([...paths, "none.png", "none.png"], { channels: 1, batchSize: 1 })) {
      expect(batch).toHaveLength(1);
      break;
    }
  });

  it.each<[string, unknown, unknown, string]>([
    ["a path alone", "a.png", { channels: 1 }, "readImages: paths must be a list of paths"],
    ["a path that is none", ["a.png", 7], { channels: 1 }, "readImages: paths[1] must be a path"],
    ["no channels", [], {}, "readImages: channels: expected 1 or 3, got undefined"],
    ["batches of nothing", [], { channels: 1, batchSize: 0 }, "batchSize must be an integer >= 1, got 0"],
    ["none at once", [], { channels: 1, concurrency: 0 }, "concurrency must be an integer from 1 to 64, got 0"],
    ["an onError that is no function", [], { channels: 1, onError: 1 }, "onError must be a function"],
  ])("refuses %s at once", (_, paths, options, message) => {
    expect(() => readImages(paths as string[], options as ReadImagesOptions)).toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringContaining(message) }),
    );
  });
});
