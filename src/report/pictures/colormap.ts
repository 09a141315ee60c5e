import { wrongArgument } from "../../arguments.ts";

/** Names of the colour maps. */
export const COLORMAPS = ["inferno", "viridis", "jet"] as const;

/** inferno and viridis are perceptually uniform: equal steps look equal, also in grey. jet is not. */
export type Colormap = (typeof COLORMAPS)[number];

// Every fifth entry of matplotlib's tables (CC0).
const POINTS = {
  inferno:
    "0000040202" +
    "0c0504170a072210092d160b391e0c45260c512f0a5b380962400a67490b6a510e6c59106e61136e69166e71196e781c6d801f6c88226a902568" +
    "982766a02a63a82e5fb0315bb73557bf3952c63d4dcc4248d34743d94d3ddf5337e45a31e9612bed6925f1711ff47918f78212f98b0bfa9407fb" +
    "9d07fca60cfcb014fbba1ffac42af8cd37f6d746f4e156f2ea69f2f27df5f992fcffa4",
  viridis:
    "44015445085b470f62471669481d6f482374472a7946307d453681433c844142863e48883c4d8a3a538b37588c355d8c32628d30678d2e6c8e2c" +
    "718e2a768e287a8e267f8e24848d23898d218d8c1f928c1e978a1e9b891ea08720a58523a98228ae7f2eb27c35b7783dbb7445bf6f4fc36959c7" +
    "6464cb5d70ce567cd24f88d54795d73fa2da37afdc2ebdde26cae01ed7e219e4e318f1e51cfde724",
};
const STEP = 5;

// matplotlib's jet: for red, green and blue the points (value, level) between which the channel is interpolated
// linearly.
const JET_CORNERS = [
  [0, 0, 0.35, 0, 0.66, 1, 0.89, 1, 1, 0.5],
  [0, 0, 0.125, 0, 0.375, 1, 0.64, 1, 0.91, 0, 1, 0],
  [0, 0.5, 0.11, 1, 0.34, 1, 0.65, 0, 1, 0],
] as const;

const TABLES: Readonly<Record<Colormap, Uint8Array>> = {
  inferno: expand(POINTS.inferno),
  viridis: expand(POINTS.viridis),
  jet: jet(),
};

/** The table of the default colour map, `colormapTable("inferno")`. */
export const INFERNO: Uint8Array = TABLES.inferno;

/**
 * The table of a colour map: 256 rows of red, green, blue in 0..255.
 * No channel is off by more than 1/255 from matplotlib's table of that name, rounded (OpenCV's jet differs by up to 33/255).
 *
 * @throws E_ARGUMENT for a name that is not in `COLORMAPS`
 */
export function colormapTable(name: Colormap): Uint8Array {
  if (COLORMAPS.includes(name)) return TABLES[name];
  throw wrongArgument("colormapTable: name", `one of ${COLORMAPS.join(", ")}`, name);
}

function expand(points: string): Uint8Array {
  const point = (index: number, channel: number) => {
    const at = index * 6 + channel * 2;
    return Number.parseInt(points.slice(at, at + 2), 16);
  };
  return tableOf((entry, channel) => {
    const below = Math.min(Math.floor(entry / STEP), 50);
    const low = point(below, channel);
    return low + (entry / STEP - below) * (point(below + 1, channel) - low);
  });
}

function jet(): Uint8Array {
  return tableOf((entry, channel) => {
    const corners = JET_CORNERS[channel] as readonly number[];
    const value = entry / 255;
    let at = 0;
    while (value > (corners[at + 2] as number)) at += 2;
    const [x = 0, y = 0, nextX = 1, nextY = 0] = corners.slice(at, at + 4);
    return 255 * (y + ((value - x) / (nextX - x)) * (nextY - y));
  });
}

function tableOf(value: (entry: number, channel: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 * 3 }, (_, index) => Math.round(value(Math.floor(index / 3), index % 3)));
}

/** A value in [0, 1] as a level in 0..255, the row of a table to draw it with; values outside are clamped, NaN is 0. */
export function level(value: number): number {
  return value > 0 ? Math.min(255, Math.round(value * 255)) : 0;
}
