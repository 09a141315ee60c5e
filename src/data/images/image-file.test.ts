import { readFileSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateSync } from "node:zlib";
import sharp, { type Sharp } from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { type ReadImageOptions, readImage } from "./image-file.ts";

let folder: string;
beforeAll(async () => {
  folder = temporaryFolder("images");
});

const input = (name: string) => fileURLToPath(new URL(`../../../test/fixtures/inputs/${name}`, import.meta.url));

let files = 0;
async function save(content: Sharp | Uint8Array | string, name = `image-${files++}`): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === "object" && "toBuffer" in content ? await content.toBuffer() : content);
  return path;
}

const RGB = { channels: 3 } as const;
const GREY = { channels: 1 } as const;
/** Two rows of three different pixels. */
const COLOURS = [255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 255, 255, 255];
const PLANAR = [0, 1, 2].flatMap((channel) => COLOURS.filter((_, index) => index % 3 === channel));
const raw = (samples: number[], width: number, channels: 1 | 2 | 3 | 4) =>
  sharp(Uint8Array.from(samples), { raw: { width, height: samples.length / channels / width, channels } });
const raw16 = (samples: number[], width: number, channels: 1 | 3 | 4) =>
  sharp(Uint16Array.from(samples), { raw: { width, height: samples.length / channels / width, channels } });
const plain = (width: number, height: number, background: string, channels: 3 | 4 = 3) =>
  sharp({ create: { width, height, channels, background }, limitInputPixels: false });

async function refusal(path: string, options: unknown = RGB): Promise<{ code: string; message: string }> {
  return readImage(path, options as ReadImageOptions).then(
    () => expect.unreachable(),
    (error) => error,
  );
}

describe("readImage", () => {
  it.each(["png", "webp", "tiff", "gif"] as const)("reads a colour %s exactly", async (format) => {
    const settings = format === "webp" ? { lossless: true } : format === "tiff" ? { compression: "lzw" as const } : {};
    const path = await save(raw(COLOURS, 3, 3)[format](settings));
    const image = await readImage(path, RGB);
    expect(image).toMatchObject({ path, channels: 3, height: 2, width: 3, notes: [] });
    expect(image.original).toEqual({ width: 3, height: 2, format });
    expect([...image.pixels]).toEqual(PLANAR);
  });

  it.each(["jpeg", "avif"] as const)("reads a colour %s to a few levels", async (format) => {
    const image = await readImage(await save(plain(16, 8, "#c86432")[format]({ quality: 95 })), RGB);
    expect(image.original).toEqual({ width: 16, height: 8, format });
    for (const [channel, value] of [200, 100, 50].entries()) {
      expect(Math.abs((image.pixels[channel * 128 + 60] as number) - value)).toBeLessThan(4);
    }
  });

  it("gives grey files as one channel or three", async () => {
    const path = await save(raw([0, 50, 100, 255], 2, 1).toColourspace("b-w").png());
    expect([...(await readImage(path, GREY)).pixels]).toEqual([0, 50, 100, 255]);
    expect([...(await readImage(path, RGB)).pixels]).toEqual([0, 50, 100, 255, 0, 50, 100, 255, 0, 50, 100, 255]);
  });

  it("turns colour to grey as Pillow does", async () => {
    const path = await save(raw(COLOURS, 3, 3).png());
    expect([...(await readImage(path, GREY)).pixels]).toEqual([76, 150, 29, 18, 124, 255]);
  });

  it("reads a palette and one bit a pixel", async () => {
    const palette = await readImage(await save(raw(COLOURS, 3, 3).png({ palette: true })), RGB);
    expect([...palette.pixels]).toEqual(PLANAR);
    const bits = raw([0, 255, 255, 0], 2, 1).toColourspace("b-w").tiff({ bitdepth: 1 });
    expect([...(await readImage(await save(bits), GREY)).pixels]).toEqual([0, 255, 255, 0]);
  });

  it("scales 16 bits to 8 by rounding, grey, colour and with alpha", async () => {
    const grey = await readImage(await save(raw16([0, 257, 32896, 65535], 4, 1).toColourspace("grey16").png()), GREY);
    expect([...grey.pixels]).toEqual([0, 1, 128, 255]);
    expect(grey.notes).toEqual(["16 bits scaled to 8"]);
    const colour = raw16([0, 1000, 65535, 257, 300, 65407], 2, 3).toColourspace("rgb16").png();
    expect([...(await readImage(await save(colour), RGB)).pixels]).toEqual([0, 1, 4, 1, 255, 255]);
    const clear = raw16([1000, 2000, 3000, 0, 1000, 2000, 3000, 65535], 2, 4).toColourspace("rgb16").png();
    expect([...(await readImage(await save(clear), RGB)).pixels]).toEqual([255, 4, 255, 8, 255, 12]);
  });

  it("lays transparent pixels on white, or on the colour asked for", async () => {
    const path = await save(raw([10, 20, 30, 0, 10, 20, 30, 255], 2, 4).png());
    const white = await readImage(path, RGB);
    expect([...white.pixels]).toEqual([255, 10, 255, 20, 255, 30]);
    expect(white.notes).toEqual(["transparent pixels blended with rgb(255, 255, 255)"]);
    const green = await readImage(path, { ...RGB, background: [0, 128, 0] });
    expect([...green.pixels]).toEqual([0, 10, 128, 20, 0, 30]);
  });

  it("converts CMYK to sRGB", async () => {
    const { pixels, notes } = await readImage(await save(plain(16, 16, "red").toColourspace("cmyk").jpeg()), RGB);
    expect(pixels[0]).toBeGreaterThan(200);
    expect(pixels[256]).toBeLessThan(60);
    expect(notes).toEqual(["CMYK converted to sRGB"]);
  });

  it.each(["gif", "webp", "tiff"] as const)("takes the first frame of a %s of several, and says so", async (format) => {
    const colours = ["#ff0000", "#00ff00", "#0000ff"];
    const frames = await Promise.all(colours.map((colour) => plain(8, 6, colour).png().toBuffer()));
    const path = await save(sharp(frames, { join: { animated: true } })[format]());
    const { height, width, pixels, notes } = await readImage(path, RGB);
    expect([height, width]).toEqual([6, 8]);
    expect(pixels[0]).toBeGreaterThan(250);
    expect(pixels[48]).toBeLessThan(5);
    expect(notes).toEqual([`first of 3 ${format === "tiff" ? "pages" : "frames"}`]);
  });

  it("takes the first three bands of an RGB TIFF whose fourth is near infrared, and says so", async () => {
    const { pixels, notes } = await readImage(input("rgb-nir.tif"), RGB);
    const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
    expect(mean).toBeGreaterThan(46);
    expect(mean).toBeLessThan(48);
    expect(notes).toEqual(["first 3 bands, without 1 more that is not alpha"]);
    const small = await readImage(input("rgb-nir.tif"), { ...RGB, size: [14, 14] });
    expect(small.pixels.reduce((sum, value) => sum + value, 0) / small.pixels.length).toBeCloseTo(mean, 0);
  });

  it("says that a 16-bit file uses 12 bits, and reads it in full where the file itself says so", async () => {
    const { pixels, notes } = await readImage(input("twelve-bit.png"), GREY);
    expect(Math.max(...pixels)).toBe(16);
    expect(notes).toEqual(["16 bits scaled to 8, of which 12 are used: multiply the samples by 16 if 4095 is white"]);
    const bytes = await raw16([0, 17, 2048, 4095], 4, 1).toColourspace("grey16").png().toBuffer();
    const named = Buffer.concat([bytes.subarray(0, 33), chunk("sBIT", Buffer.of(12)), bytes.subarray(33)]);
    const full = await readImage(await save(named), GREY);
    expect([...full.pixels]).toEqual([0, 1, 128, 255]);
    expect(full.notes).toEqual(["12 bits scaled to 8"]);
  });

  it("does not take sBIT for the range of samples that were scaled to 16 bits, as the standard requires", async () => {
    const bytes = await raw16([0, 16, 1600, 4080], 4, 1).toColourspace("grey16").png().toBuffer();
    const named = Buffer.concat([bytes.subarray(0, 33), chunk("sBIT", Buffer.of(12)), bytes.subarray(33)]);
    expect([...(await readImage(await save(named), GREY)).pixels]).toEqual([0, 0, 6, 16]);
  });

  it("is recognised by content, not by name", async () => {
    const path = await save(raw(COLOURS, 3, 3).png(), "really-a-png.jpg");
    expect((await readImage(path, RGB)).original.format).toBe("png");
  });
});

describe("readImage and EXIF orientation", () => {
  // The position of the stored pixel (row, column) in an h x w image, for each orientation of the EXIF standard.
  const h = 2;
  const w = 3;
  const PLACES: Record<number, (row: number, column: number) => [number, number]> = {
    1: (row, column) => [row, column],
    2: (row, column) => [row, w - 1 - column],
    3: (row, column) => [h - 1 - row, w - 1 - column],
    4: (row, column) => [h - 1 - row, column],
    5: (row, column) => [column, row],
    6: (row, column) => [column, h - 1 - row],
    7: (row, column) => [w - 1 - column, h - 1 - row],
    8: (row, column) => [w - 1 - column, row],
  };

  function upright(orientation: number): number[] {
    const width = orientation < 5 ? w : h;
    const turned = new Array(18).fill(-1);
    for (let row = 0; row < h; row++) {
      for (let column = 0; column < w; column++) {
        const [toRow, toColumn] = PLACES[orientation]?.(row, column) ?? [0, 0];
        for (let channel = 0; channel < 3; channel++) {
          turned[channel * 6 + toRow * width + toColumn] = COLOURS[(row * w + column) * 3 + channel];
        }
      }
    }
    return turned;
  }

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("turns orientation %i upright, pixel for pixel", async (orientation) => {
    const path = await save(raw(COLOURS, w, 3).png().withMetadata({ orientation }));
    const image = await readImage(path, RGB);
    expect([image.height, image.width]).toEqual(orientation < 5 ? [2, 3] : [3, 2]);
    expect([...image.pixels]).toEqual(upright(orientation));
    expect(image.notes).toEqual(orientation === 1 ? [] : [`turned upright (EXIF orientation ${orientation})`]);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("and that of a JPEG, with the size as it is seen (%i)", async (orientation) => {
    const blocks = COLOURS.flatMap((_, index) => (index % 3 === 0 ? [COLOURS.slice(index, index + 3)] : []));
    const large = Array.from({ length: 32 * 48 }, (_, pixel) => {
      return blocks[Math.floor(pixel / 48 / 16) * 3 + Math.floor((pixel % 48) / 16)] as number[];
    }).flat();
    const jpeg = raw(large, 48, 3).jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).withMetadata({ orientation });
    const image = await readImage(await save(jpeg), RGB);
    const [height, width] = orientation < 5 ? [32, 48] : [48, 32];
    expect(image.original).toEqual({ height, width, format: "jpeg" });
    upright(orientation).forEach((expected, index) => {
      const [channel, cell] = [Math.floor(index / 6), index % 6];
      const row = Math.floor(cell / (width / 16)) * 16 + 8;
      const column = (cell % (width / 16)) * 16 + 8;
      const got = image.pixels[(channel * height + row) * width + column] as number;
      expect(Math.abs(got - expected)).toBeLessThan(6);
    });
  });
});

describe("readImage at a size", () => {
  it("enlarges about the centres of pixels, as torchvision does", async () => {
    const { pixels } = await readImage(input("two-by-two.png"), { ...GREY, size: [4, 4] });
    const row = [0, 64, 191, 255];
    expect([...pixels]).toEqual([...row, ...row, ...row, ...row]);
  });

  it("makes a photo smaller as it makes a smaller image smaller, to a few levels", async () => {
    const waves = (side: number) =>
      Array.from({ length: side * side }, (_, i) =>
        Math.round(128 + 100 * Math.sin((6 * ((i % side) + 0.5)) / side) * Math.cos((5 * Math.floor(i / side)) / side)),
      );
    const [large, small] = [1100, 550]; // sides of images above and below a megapixel
    for (const fit of ["cover", "contain", "fill"] as const) {
      const options = { ...GREY, size: [40, 60], fit } as const;
      const [first, second] = await Promise.all(
        [large, small].map(async (side) =>
          readImage(await save(raw(waves(side), side, 1).toColourspace("b-w").png()), options),
        ),
      );
      for (const [i, value] of (first?.pixels ?? []).entries())
        expect(Math.abs(value - (second?.pixels[i] as number))).toBeLessThan(5);
    }
  });

  const wide = () =>
    save(
      raw(
        [...Array(16)].map((_, index) => (index % 8 < 4 ? 0 : 240)),
        8,
        1,
      )
        .toColourspace("b-w")
        .png(),
    );

  it("covers it by default and cuts evenly", async () => {
    const image = await readImage(await wide(), { ...GREY, size: [2, 2] });
    expect([image.height, image.width]).toEqual([2, 2]);
    expect([...image.pixels]).toEqual([0, 240, 0, 240]);
    expect(image.original).toMatchObject({ width: 8, height: 2 });
  });

  it("contains with margins of the background", async () => {
    const image = await readImage(await wide(), { ...GREY, size: [6, 8], fit: "contain", background: [9, 9, 9] });
    const margin = Array(16).fill(9);
    const row = [0, 0, 0, 0, 240, 240, 240, 240];
    expect([...image.pixels]).toEqual([...margin, ...row, ...row, ...margin]);
  });

  it("fills by distorting, and averages what it makes smaller", async () => {
    const image = await readImage(await wide(), { ...GREY, size: [4, 1], fit: "fill" });
    expect([image.height, image.width]).toEqual([4, 1]);
    for (const value of image.pixels) expect(Math.abs(value - 120)).toBeLessThan(3);
  });

  it("brings mixed sizes, turned ones too, to one", async () => {
    const portrait = await save(plain(30, 50, "red").jpeg().withMetadata({ orientation: 6 }));
    for (const path of [portrait, await wide(), await save(plain(1, 90, "blue").png())]) {
      for (const fit of ["cover", "contain", "fill"] as const) {
        const { pixels, height, width } = await readImage(path, { ...RGB, size: [20, 30], fit });
        expect([height, width, pixels.length]).toEqual([20, 30, 1800]);
      }
    }
  });

  it("keeps the margins of a thin image out of its transparent pixels", async () => {
    const path = await save(plain(10, 2, "#ff000000", 4).png());
    const { pixels } = await readImage(path, { ...RGB, size: [10, 10], fit: "contain" });
    expect(pixels.every((value) => value === 255)).toBe(true);
  });
});

describe("readImage of files that sharp does not read", () => {
  const PIXELS = JSON.parse(readFileSync(input("bmp-pixels.json"), "utf8")) as Record<string, number[]>;

  it.each(["colours", "palette", "bits"])("reads %s.bmp as Pillow does", async (name) => {
    const { pixels, height, width, original, notes } = await readImage(input(`${name}.bmp`), RGB);
    expect([height, width, original.format, notes]).toEqual([5, 7, "bmp", []]);
    expect([...pixels]).toEqual(PIXELS[name]);
  });

  it.each<[string, (file: Buffer) => Buffer, number[]]>([
    ["32 bits, of which the last is unused", (file) => file, [1, 4, 2, 5, 3, 6]],
    ["rows from top to bottom", (file) => withLong(file, 22, -1), [1, 4, 2, 5, 3, 6]],
    ["a header with masks", (file) => masked(file, [0xff, 0xff00, 0xff0000, 0]), [3, 6, 2, 5, 1, 4]],
  ])("reads a BMP of %s", async (_, change, expected) => {
    const file = Buffer.alloc(54 + 8);
    file.write("BM", 0, "latin1");
    for (const [at, value] of [
      [10, 54],
      [14, 40],
      [18, 2],
      [22, 1],
      [26, 0x200001],
    ] as const)
      file.writeUInt32LE(value, at);
    file.set([3, 2, 1, 0, 6, 5, 4, 0], 54);
    expect([...(await readImage(await save(change(file)), RGB)).pixels]).toEqual(expected);
  });

  it("reads HEIC, as phones write it, to a few levels", async () => {
    const { pixels, height, width, original } = await readImage(input("gradient.heic"), RGB);
    expect([height, width, original.format]).toEqual([48, 64, "heic"]);
    let worst = 0;
    for (let y = 2; y < 46; y++)
      for (let x = 2; x < 62; x++)
        for (const [c, value] of [4 * x, 5 * y, 255 - 4 * x].entries())
          worst = Math.max(worst, Math.abs((pixels[(c * 48 + y) * 64 + x] as number) - value));
    expect(worst).toBeLessThan(12);
    expect((await readImage(input("gradient.heic"), { ...GREY, size: [8, 8] })).pixels).toHaveLength(64);
  });

  it.each(["colours.bmp", "palette.bmp", "gradient.heic"])(
    "refuses %s where it is cut short or too large",
    async (name) => {
      const bytes = await readFile(input(name));
      for (const share of [0.1, 0.5, 0.9]) {
        const path = await save(bytes.subarray(0, bytes.length * share));
        expect(await refusal(path)).toMatchObject({ code: "E_DATA", message: expect.stringContaining(path) });
      }
      expect((await refusal(input(name), { ...RGB, maxPixels: 20 })).message).toContain("more than maxPixels 20");
    },
  );

  it.each<[string, number, number, RegExp]>([
    ["compressed by RLE8", 30, 1, /is a BMP file compressed by RLE8/],
    ["of an old kind", 14, 12, /is a BMP file of an old kind/],
    ["without columns", 18, 0, /is a BMP file of 0x5 pixels/],
    ["of 2 bits", 26, 0x20001, /is a BMP file of 2 bits/],
    ["of two thousand million columns", 18, 2_000_000_000, /is a BMP file that is cut short: [\d,]+ bytes expected/],
  ])("refuses a BMP %s", async (_, at, value, message) => {
    const path = await save(withLong(await readFile(input("colours.bmp")), at, value));
    expect(await refusal(path)).toMatchObject({ code: "E_DATA", message: expect.stringMatching(message) });
  });
});

describe("readImage refuses", () => {
  const CONVERT = "PNG, JPEG, WebP, TIFF, GIF, AVIF, BMP and HEIC can be read: convert it, or name another file";

  it("a missing file, a folder and an empty file", async () => {
    expect(await refusal(join(folder, "none.png"))).toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/^readImage: .*none.png: cannot be read \(ENOENT.*; name an image file/),
    });
    await mkdir(join(folder, "sub"));
    const inside = await refusal(join(folder, "sub"));
    expect(inside).toMatchObject({ code: "E_DATA", message: expect.stringContaining("got a folder") });
    const empty = await refusal(await save("", "empty.png"));
    expect(empty).toMatchObject({ code: "E_DATA", message: expect.stringContaining("empty.png: is empty (0 bytes)") });
  });

  it.skipIf(process.getuid?.() === 0)("a file that may not be read", async () => {
    const path = await save(raw(COLOURS, 3, 3).png());
    await chmod(path, 0);
    expect(await refusal(path)).toMatchObject({ code: "E_DATA", message: expect.stringContaining("EACCES") });
  });

  it.each([
    ["text named .png", "hello, this is no picture at all", "is not an image that can be read, but text"],
    ["a DICOM file", `${"\0".repeat(128)}DICM${"\0".repeat(40)}`, "but a DICOM file"],
    ["random bytes", "\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008", "or its beginning is damaged"],
  ])("%s, and says what it is", async (_, content, problem) => {
    const { code, message } = await refusal(await save(content, `not-${files++}.png`));
    expect(code).toBe("E_DATA");
    expect(message).toContain(problem);
    expect(message).toContain(CONVERT);
  });

  it("an SVG, which is a program rather than pixels", async () => {
    const path = await save('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    expect(await refusal(path)).toMatchObject({
      code: "E_DATA",
      message: expect.stringContaining(`is svg; ${CONVERT}`),
    });
  });

  it.each(["jpeg", "png", "webp", "tiff", "gif"] as const)("a %s that was cut short", async (format) => {
    const noise = raw(
      Array.from({ length: 64 * 64 * 3 }, (_, index) => (index * 7919) % 251),
      64,
      3,
    );
    const bytes = await noise[format]().toBuffer();
    for (const share of [0.05, 0.5, 0.9]) {
      const path = await save(bytes.subarray(0, bytes.length * share), `cut-${share}.${format}`);
      expect(await refusal(path)).toMatchObject({ code: "E_DATA", message: expect.stringContaining(path) });
    }
  });

  it("a PNG with damaged bytes inside", async () => {
    const noise = raw(
      Array.from({ length: 32 * 32 }, (_, index) => (index * 7919) % 251),
      32,
      1,
    );
    const bytes = await noise.png().toBuffer();
    bytes.fill(0xff, 500, 540);
    const { code, message } = await refusal(await save(bytes));
    expect(code).toBe("E_DATA");
    expect(message).toMatch(/is damaged or cut short \(.+\); get the file again/);
  });

  it("a small file of 400 megapixels, before it is decoded", async () => {
    const path = await save(bombPng(20000), "bomb.png");
    const { code, message } = await refusal(path);
    expect((await readImage(await save(bombPng(80)), GREY)).pixels).toHaveLength(6400);
    expect(code).toBe("E_DATA");
    expect(message).toMatch(
      /bomb.png: is 20000x20000, 400,000,000 pixels, more than maxPixels 100,000,000; make it smaller, or allow more/,
    );
  });

  it("more pixels than the caller allows, and no fewer", async () => {
    const path = await save(plain(10, 10, "red").png());
    expect((await refusal(path, { ...RGB, maxPixels: 99 })).message).toContain("more than maxPixels 99");
    expect((await readImage(path, { ...RGB, maxPixels: 100 })).width).toBe(10);
  });

  it("a TIFF of several grey bands, of which none is alpha", async () => {
    const bytes = await raw([1, 2, 3, 4, 5, 6, 7, 8], 2, 4).tiff({ compression: "none" }).toBuffer();
    const path = await save(withTags(bytes, { 262: 1, 338: 0 }));
    expect(await refusal(path)).toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/has 4 bands: grey, and 3 whose meaning the file does not say; save the one band/),
    });
  });

  it("samples whose range is not known", async () => {
    expect(await refusal(await save(floatTiff([0, 0.5, 1, 300])))).toMatchObject({
      code: "E_DATA",
      message: expect.stringMatching(/has float samples .*; save it with 8 or 16 bits/),
    });
  });

  it.each<[string, unknown, string]>([
    ["options that are none", null, "readImage: options must be an object"],
    ["two channels", { channels: 2 }, "readImage: channels: expected 1 or 3, got 2"],
    ["a size of one number", { channels: 1, size: 224 }, "size: expected [height, width], got 224"],
    ["a side of zero", { channels: 1, size: [0, 5] }, "size must be an integer from 1 to 16384, got 0"],
    ["another fit", { channels: 1, fit: "crop" }, "fit: expected cover, contain, fill"],
    ["a background by name", { channels: 1, background: "red" }, "background: expected [red, green, blue]"],
    ["a background past 255", { channels: 1, background: [0, 0, 256] }, "background must be an integer from 0 to 255"],
    ["a limit of nothing", { channels: 1, maxPixels: 0 }, "maxPixels must be an integer >= 1, got 0"],
  ])("%s", async (_, options, message) => {
    const error = await refusal("x.png", options);
    expect(error).toMatchObject({ code: "E_ARGUMENT", message: expect.stringContaining(message) });
  });

  it("a path that is none", async () => {
    expect(await refusal(7 as unknown as string)).toMatchObject({ code: "E_ARGUMENT" });
  });
});

/** A valid PNG of side x side black pixels, one bit each: 400 megapixels in 50 kilobytes. */
function bombPng(side: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 1; // 1 bit for each pixel, grey
  const rows = deflateSync(Buffer.alloc(side * (1 + side / 8)));
  const chunks = [chunk("IHDR", header), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...chunks]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  let crc = ~0;
  for (const byte of body) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  const ends = [Buffer.alloc(4), Buffer.alloc(4)] as const;
  ends[0].writeUInt32BE(data.length);
  ends[1].writeUInt32BE(~crc >>> 0);
  return Buffer.concat([ends[0], body, ends[1]]);
}

function withLong(file: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(file);
  changed.writeInt32LE(value, at);
  return changed;
}

/** A BMP file whose header has 56 bytes and includes bit masks. */
function masked(file: Buffer, masks: number[]): Buffer {
  const fields = Buffer.alloc(16);
  for (const [i, mask] of masks.entries()) fields.writeUInt32LE(mask, 4 * i);
  const whole = Buffer.concat([file.subarray(0, 54), fields, file.subarray(54)]);
  return withLong(withLong(withLong(whole, 10, 70), 14, 56), 30, 3);
}

/** A TIFF file written by sharp, with the values of some tags of type SHORT changed. */
function withTags(bytes: Buffer, values: Readonly<Record<number, number>>): Buffer {
  const changed = Buffer.from(bytes);
  const directory = bytes.readUInt32LE(4);
  for (let i = 0; i < bytes.readUInt16LE(directory); i++) {
    const entry = directory + 2 + 12 * i;
    const value = values[bytes.readUInt16LE(entry)];
    if (value !== undefined) changed.writeUInt16LE(value, entry + 8);
  }
  return changed;
}

/** A TIFF of one row of 32-bit floats, which sharp cannot write. */
function floatTiff(values: number[]): Buffer {
  const entries = [
    [256, values.length],
    [257, 1],
    [258, 32],
    [259, 1],
    [262, 1],
    [273, 8],
    [277, 1],
    [278, 1],
    [279, 4 * values.length],
    [339, 3], // IEEE floating point
  ] as const;
  const directory = 8 + 4 * values.length;
  const file = Buffer.alloc(directory + 2 + 12 * entries.length + 4);
  file.write("II*\0", "latin1");
  file.writeUInt32LE(directory, 4);
  values.forEach((value, index) => {
    file.writeFloatLE(value, 8 + 4 * index);
  });
  file.writeUInt16LE(entries.length, directory);
  entries.forEach(([tag, value], index) => {
    const at = directory + 2 + 12 * index;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(4, at + 2); // LONG
    file.writeUInt32LE(1, at + 4);
    file.writeUInt32LE(value, at + 8);
  });
  return file;
}
