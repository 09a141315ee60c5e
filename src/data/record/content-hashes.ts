import { type Tensor, tidy } from "../../tensor/index.ts";
import { contentHash } from "../images/file-hashes.ts";
import type { Split } from "../splits/split.ts";

/** Digest of each image's content: the digest of its file, or of its pixels if the image did not come from a file. */
export const imageHashes = ({ hashes, images }: Pick<Split, "hashes" | "images">): readonly string[] =>
  hashes ?? pixelHashes(images);

/** Number of images that are copied at once, because Node cannot copy 2 GiB or more in one piece. */
const PIECE = 4096;

/** A digest of the pixels of each image in (N, C, H, W). Equal images have equal digests. */
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
