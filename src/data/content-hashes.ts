import { type Tensor, tidy } from "../tensor/index.ts";
import { digestOfLines } from "./data-record.ts";
import { contentHash } from "./file-hashes.ts";
import type { Split } from "./split.ts";

/** Digest of each image's content: of its file, or where it has none of its pixels. */
export const imageHashes = ({ hashes, images }: Pick<Split, "hashes" | "images">): readonly string[] =>
  hashes ?? pixelHashes(images);

/** Images at a time: Node copies less than 2 GiB at once. */
const PIECE = 4096;

/** Digest of the pixels of each image of (N, C, H, W): equal images have equal digests. */
function pixelHashes(images: Tensor): string[] {
  const [count = 0, ...shape] = images.sizes;
  const size = shape.reduce((product, length) => product * length, 1);
  const hashes: string[] = [];
  for (let start = 0; start < count; start += PIECE) {
    const length = Math.min(PIECE, count - start);
    const bytes = tidy(() => images.narrow(0, start, length).data() as Uint8Array);
    for (let i = 0; i < length; i++) hashes.push(contentHash(bytes.subarray(i * size, (i + 1) * size)));
  }
  return hashes;
}

/** Digest over class and content of some images, whatever their order and their names: by which images a model is judged. */
export function contentDigest(split: Split): string {
  const hashes = imageHashes(split);
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  return digestOfLines(labels.map((label, place) => [split.classNames[label] ?? label, hashes[place]]));
}
