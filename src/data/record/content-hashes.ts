import { type Tensor, tidy } from "../../tensor/index.ts";
import { contentHash } from "../images/file-hashes.ts";
import type { Split } from "../splits/split.ts";

/** Digest of each image's content: of its file, or where it has none of its pixels. */
export const imageHashes = ({ hashes, images }: Pick<Split, "hashes" | "images">): readonly string[] =>
  hashes ?? pixelHashes(images);

/** Images at a time: Node copies less than 2 GiB at once. */
const PIECE = 4096;

/** Digest of the pixels of each image of (N, C, H, W): equal images have equal digests. */
export function pixelHashes(images: Tensor): string[] {
  const [count = 0] = images.sizes;
  const hashes: string[] = [];
  for (let start = 0; start < count; start += PIECE) {
    const length = Math.min(PIECE, count - start);
    const { buffer, byteOffset, byteLength } = tidy(() => images.narrow(0, start, length).data());
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    const size = byteLength / length;
    for (let i = 0; i < length; i++) hashes.push(contentHash(bytes.subarray(i * size, (i + 1) * size)));
  }
  return hashes;
}
