import { describe, expect, it } from "vitest";
import { COLORMAPS, type Colormap, colormapTable, INFERNO, level } from "./colormap.ts";

const row = (entry: number, name: Colormap) => [...colormapTable(name).subarray(entry * 3, entry * 3 + 3)];

describe("colormapTable", () => {
  it.each(COLORMAPS)("has 256 colours of %s", (name) => {
    expect(colormapTable(name)).toHaveLength(768);
  });

  it("names the default's table INFERNO", () => {
    expect(INFERNO).toBe(colormapTable("inferno"));
  });

  it.each<[Colormap, number, number[]]>([
    ["inferno", 0, [0, 0, 4]],
    ["inferno", 1, [1, 0, 5]],
    ["inferno", 64, [87, 16, 110]],
    ["inferno", 128, [188, 55, 84]],
    ["inferno", 192, [249, 142, 9]],
    ["inferno", 254, [250, 253, 161]],
    ["inferno", 255, [252, 255, 164]],
    ["viridis", 0, [68, 1, 84]],
    ["viridis", 32, [71, 44, 122]],
    ["viridis", 64, [59, 82, 139]],
    ["viridis", 96, [44, 114, 142]],
    ["viridis", 128, [33, 145, 140]],
    ["viridis", 192, [94, 201, 98]],
    ["viridis", 254, [251, 231, 35]],
    ["viridis", 255, [253, 231, 37]],
    ["jet", 0, [0, 0, 128]],
    ["jet", 1, [0, 0, 132]],
    ["jet", 32, [0, 0, 255]],
    ["jet", 64, [0, 129, 255]],
    ["jet", 96, [21, 255, 226]],
    ["jet", 128, [125, 255, 122]],
    ["jet", 160, [228, 255, 19]],
    ["jet", 192, [255, 148, 0]],
    ["jet", 224, [255, 30, 0]],
    ["jet", 255, [128, 0, 0]],
  ])("is within one level of matplotlib's %s at entry %i", (name, entry, expected) => {
    row(entry, name).forEach((value, channel) => {
      expect(Math.abs(value - (expected[channel] ?? 0))).toBeLessThanOrEqual(1);
    });
  });

  it.each(["inferno", "viridis"] as const)(
    "grows lighter in %s from entry to entry, so that it can be read in grey",
    (name) => {
      const lightness = Array.from({ length: 256 }, (_, entry) => {
        const [red = 0, green = 0, blue = 0] = row(entry, name);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
      });
      for (let entry = 1; entry < 256; entry++) {
        expect(lightness[entry]).toBeGreaterThan((lightness[entry - 1] ?? 0) - 0.75);
        if (entry >= 5) expect(lightness[entry]).toBeGreaterThan(lightness[entry - 5] ?? 0);
      }
    },
  );

  it("refuses another name, naming those there are", () => {
    expect(() => colormapTable("magma" as Colormap)).toThrow(
      'colormapTable: name: expected one of inferno, viridis, jet, got "magma"',
    );
  });
});

describe("level", () => {
  it.each([
    [0, 0],
    [1, 255],
    [0.5, 128],
    [-3, 0],
    [7, 255],
    [Number.NaN, 0],
    [Infinity, 255],
    [-Infinity, 0],
  ])("takes %d to %i", (value, expected) => {
    expect(level(value)).toBe(expected);
  });
});
