/** Formats that are read, as sharp names them, and what people call them. */
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

/** Ends of the names of files that `listImages` takes for images, in lower case. */
export const IMAGE_EXTENSIONS = [
  ...([".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".gif", ".avif"] as const),
  ...([".bmp", ".heic", ".heif"] as const),
] as const;

/** The formats in a sentence. */
export const READABLE = "PNG, JPEG, WebP, TIFF, GIF, AVIF, BMP and HEIC can be read";

// What a file that is none of them may be, by the bytes that it begins with (or has at an offset).
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

/** What the bytes of a file that is no readable image seem to be; undefined where nothing is recognised. */
export function foreignKind(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.subarray(0, 256)).toString("latin1");
  const known = OTHERS.find(({ bytes: mark, at = 0 }) => head.startsWith(mark, at));
  if (known) return known.name;
  return /^[\t\r\n\x20-\x7e]+$/.test(head) ? "text" : undefined;
}
