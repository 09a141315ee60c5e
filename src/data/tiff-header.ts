/** What the bands of a TIFF file's first page mean. */
export interface TiffBands {
  /** Bands of the colour: 1 for grey or a palette, 3, or 4 for CMYK. */
  readonly colour: number;
  /** Whether the band after the colour is alpha. */
  readonly alpha: boolean;
  /** Bands that are neither: near infrared, depth, a mask. */
  readonly others: number;
}

const SAMPLES_PER_PIXEL = 277;
const PHOTOMETRIC = 262;
const EXTRA_SAMPLES = 338;
const COLOUR_BANDS: ReadonlyMap<number, number> = new Map([
  [2, 3], // RGB
  [5, 4], // CMYK
  [6, 3], // YCbCr
  [8, 3], // CIE Lab
  [9, 3], // ICC Lab
  [10, 3], // ITU Lab
]);
/** Values of ExtraSamples that mean alpha: premultiplied, and not. */
const ALPHA = [1, 2];

/**
 * Reads from the header of a TIFF or BigTIFF file which bands are colour, which alpha and which neither. sharp reports every band
 * after the colour as alpha. Null for other files, and where the header cannot be followed.
 *
 * Source: TIFF 6.0, sections 2 (header and directory) and 18 (ExtraSamples); the BigTIFF design by Aware Systems.
 */
export function tiffBands(bytes: Uint8Array): TiffBands | null {
  try {
    return bandsOf(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    if (error instanceof RangeError) return null; // a position beyond the file, which the decoder will report
    throw error;
  }
}

function bandsOf(view: DataView): TiffBands | null {
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return null;
  const little = order === 0x4949;
  const version = view.getUint16(2, little);
  if (version !== 42 && version !== 43) return null;
  const tags = readTags(view, little, version === 43);
  const samples = tags.get(SAMPLES_PER_PIXEL) ?? 1;
  const colour = COLOUR_BANDS.get(tags.get(PHOTOMETRIC) ?? 1) ?? 1;
  const alpha = samples > colour && ALPHA.includes(tags.get(EXTRA_SAMPLES) ?? 0);
  return { colour, alpha, others: Math.max(0, samples - colour - (alpha ? 1 : 0)) };
}

/** The first value of each tag of type SHORT in the first directory. */
function readTags(view: DataView, little: boolean, big: boolean): Map<number, number> {
  const wide = (at: number) => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  const directory = wide(big ? 8 : 4);
  const count = big ? wide(directory) : view.getUint16(directory, little);
  const [start, size, room] = big ? [directory + 8, 20, 8] : [directory + 2, 12, 4];
  const tags = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const entry = start + size * i;
    if (view.getUint16(entry + 2, little) !== 3) continue;
    const values = wide(entry + 4);
    const place = entry + size - room;
    tags.set(view.getUint16(entry, little), view.getUint16(2 * values <= room ? place : wide(place), little));
  }
  return tags;
}
