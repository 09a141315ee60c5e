import { BatchCamError } from "../../errors.ts";
import { explained, isOutOfMemory, withMemoryLimit } from "../../tensor/internal.ts";

const GIB = 2 ** 30;
/**
 * Bytes for networks of small images, and for each byte of the images besides. By the sizes of their layers, ResNet-152 keeps about 400 for
 * its backward pass, and ViT-L about 1,100.
 */
const [BYTES_FOR_SMALL, BYTES_FOR_EACH] = [4 * GIB, 4096];

/**
 * Runs `fn`, a pass of example images of these sizes, with more memory than a network needs for them. A damaged graph can ask for far
 * more, which would take the memory of all other programs.
 */
export function withinMemory<T>(sizes: readonly number[], source: string, fn: () => T): T {
  const limit = BYTES_FOR_SMALL + BYTES_FOR_EACH * sizes.reduce((product, size) => product * size, 4);
  try {
    return withMemoryLimit(limit, fn);
  } catch (error) {
    if (!(error instanceof BatchCamError) || !isOutOfMemory(error)) throw error;
    throw explained(
      error,
      "E_DATA",
      `${source}: example images of [${sizes.join(", ")}] need more memory than there is, or more than ${Math.round(limit / GIB)} GiB: the graph is damaged or the images are too large; export the model again, for fewer or smaller images: ${error.message}`,
    );
  }
}
