import { extname } from "node:path";
/** The formats that can be read: sharp's name for each, and the usual name. */
export const IMAGE_FORMATS: ReadonlyMap<string, string> = new Map([
  ["png", "png"],
  ["jpeg", "jpeg"],
  ["webp", "webp"],
  ["tiff", "tiff"],
  ["gif", "gif"],
  ["heif", "avif"],
  ["bmp", "bmp"],
  ["heic", "heic"],
]);

/** File name extensions that `listImages` recognises as images, in lower case. */
export const IMAGE_EXTENSIONS = [
  ...([".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".gif", ".avif"] as const),
  ...([".bmp", ".heic", ".heif"] as const),
] as const;

/** A sentence for error messages about the formats. */
export const READABLE = "PNG, JPEG, WebP, TIFF, GIF, AVIF, BMP and HEIC can be read";

// Signatures of other kinds of files, to tell users what they named. A signature is at the start of a file unless `at`
// gives an offset.
const OTHERS: readonly { name: string; bytes: string; at?: number }[] = [
  { name: "a DICOM file", bytes: "DICM", at: 128 },
  { name: "an SVG drawing", bytes: "<svg" },
  { name: "an XML, perhaps an SVG, file", bytes: "<?xml" },
  { name: "a web page", bytes: "<!" },
  { name: "a web page", bytes: "<html" },
  { name: "a PDF document", bytes: "%PDF" },
  { name: "a NumPy array", bytes: "\x93NUMPY" },
  { name: "a zip archive", bytes: "PK\x03\x04" },
  { name: "a gzip archive", bytes: "\x1f\x8b" },
  { name: "a Git LFS pointer, not the file itself", bytes: "version https://git-lfs" },
];

/** Guesses the kind of a file that is not a readable image; undefined if nothing is recognised. */
export function foreignKind(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.subarray(0, 256)).toString("latin1");
  const known = OTHERS.find(({ bytes: mark, at = 0 }) => head.startsWith(mark, at));
  if (known) return known.name;
  return /^[\t\r\n\x20-\x7e]+$/.test(head) ? "text" : undefined;
}

/** Whether the extension of a name is that of an image format. */
export const isImageName = (name: string): boolean =>
  (IMAGE_EXTENSIONS as readonly string[]).includes(extname(name).toLowerCase());
