import { describeValue, expectMap, expectNumber, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { keep, noGrad, ones, type Tensor, tensor, tidy, zeros } from "../tensor/index.ts";
import { expectClassCount, expectShapes, isTensor, readLabels } from "../tensor/internal.ts";
import { expectMaps } from "./distance.ts";
import { classMeans } from "./map-losses.ts";

/**
 * Prototypes that are computed from the maps: for each class an exponential running average over training,
 * `P_c ← decay·P_c + (1 − decay)·mean of the class's maps in the batch`, which starts with the first mean.
 */
export class CamEma {
  /** (C, H, W) */
  readonly prototypes: Tensor;
  /** (C), 1 for classes that have occurred in a batch */
  readonly seen: Tensor;
  readonly decay: number;

  constructor(numClasses: number, size: readonly [number, number], options: { decay?: number } = {}) {
    const { decay = 0.99 } = optionsOf("CamEma", options, ["decay"]);
    const natural = (value: number) => Number.isSafeInteger(value) && value > 0;
    expectClassCount("CamEma", numClasses);
    if (!Array.isArray(size) || size.length !== 2 || !size.every(natural)) {
      throw new BatchCamError(
        "E_ARGUMENT",
        `CamEma: size must be [height, width], integers > 0, got ${describeValue(size)}`,
      );
    }
    expectNumber("CamEma: decay", decay, "be in [0, 1)", (n) => n >= 0 && n < 1);
    this.prototypes = keep(zeros([numClasses, ...size]));
    this.seen = keep(zeros([numClasses]));
    this.decay = decay;
  }

  update(maps: Tensor, labels: Tensor | readonly number[]): void {
    const { B = 0, C = 0 } = expectShapes("CamEma.update", {
      prototypes: [this.prototypes, "C H W"],
      maps: [maps, "B H W"],
    });
    expectMaps("CamEma.update", maps);
    const { values } = readLabels("CamEma.update", labels, { count: B, numClasses: C });
    tidy(() =>
      noGrad(() => {
        const { means, classes } = classMeans(maps.detach().to("float32"), values);
        const index = tensor(BigInt64Array.from(classes, BigInt));
        const weight = this.seen.indexSelect(0, index).mul(-this.decay).add(1).view([-1, 1, 1]); // 1 − decay, but 1 for a new class
        const change = means.sub(this.prototypes.indexSelect(0, index)).mul(weight);
        this.prototypes.indexAdd_(0, index, change);
        this.seen.indexAdd_(0, index, ones([classes.length])).clamp_(0, 1);
      }),
    );
  }

  /** The tensors that a checkpoint must contain to continue the averages. */
  state(): Map<string, Tensor> {
    return new Map([
      ["camEma.prototypes", this.prototypes],
      ["camEma.seen", this.seen],
    ]);
  }

  /** Copies a `state` into this object. Everything is checked first, so that a failure changes nothing. */
  loadState(state: ReadonlyMap<string, Tensor>): void {
    expectMap("CamEma.loadState: state", state);
    const pairs = Array.from(this.state(), ([name, target]) => {
      const saved = state.get(name);
      if (!isTensor(saved)) throw new BatchCamError("E_CHECKPOINT", `CamEma.loadState: the state has no ${name}`);
      if (saved.shape.join() !== target.shape.join()) {
        const shapes = `[${target.shape.join(", ")}], got [${saved.shape.join(", ")}]`;
        throw new BatchCamError("E_CHECKPOINT", `CamEma.loadState: ${name} must be ${shapes}`);
      }
      return [target, saved] as const;
    });
    for (const [target, saved] of pairs) target.copy_(saved);
  }
}
