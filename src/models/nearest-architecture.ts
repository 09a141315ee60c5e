import { counted, wordFor } from "../counted.ts";
import { getRngState, setRngState, type Tensor, tidy } from "../tensor/index.ts";
import { ConvNextV2, type ConvNextV2Name } from "./convnext-v2.ts";
import type { Model } from "./model.ts";
import { ResNet, type ResNetName } from "./resnet.ts";
import { SimpleCNN } from "./simple-cnn.ts";
import { prefixHint } from "./weights-names.ts";

const KNOWN =
  "simple-cnn; resnet18 and resnet34 under torchvision's names; convnextv2_atto to convnextv2_base under timm's";
const RESNETS: readonly ResNetName[] = ["resnet18", "resnet34"];
const CONVNEXTS: readonly ConvNextV2Name[] = [
  ...(["convnextv2_atto", "convnextv2_nano", "convnextv2_tiny", "convnextv2_base"] as const),
];

/**
 * For weights of no architecture of this project: which ones there are, which is nearest, and how many names fit.
 * "known are …; nearest is resnet18, of whose 122 names 60 are there, beside 14 others ("a", "b", "c", …)"
 */
export function nearestArchitecture(weights: ReadonlyMap<string, Tensor>): string {
  const given = [...weights.keys()];
  const fits = Array.from(namesOfKnown(), ([name, names]) => ({
    name,
    total: names.size,
    matched: given.filter((one) => names.has(one)).length,
    others: given.filter((one) => !names.has(one)),
  }));
  // Names are shared by sizes of one family: the fewest missing and foreign names together decide.
  const [best] = fits.toSorted((a, b) => unlike(a) - unlike(b));
  const hint = prefixHint(given);
  if (best === undefined || best.matched === 0) return `known are ${KNOWN}, none of whose names are there${hint}`;
  const { name, total, matched, others } = best;
  const shown = others.slice(0, 3).map((other) => JSON.stringify(other));
  const beside =
    others.length === 0
      ? ""
      : `, beside ${counted(others.length, "other")} (${shown.join(", ")}${others.length > 3 ? ", …" : ""})`;
  return `known are ${KNOWN}; nearest is ${name}, of whose ${counted(total, "name")} ${matched} ${wordFor(matched, "is", "are")} there${beside}${hint}`;
}

const unlike = ({ total, matched, others }: { total: number; matched: number; others: readonly string[] }): number =>
  total - matched + others.length;

/** Names alone: the networks are as narrow as can be, and the engine's generator is left as it was. */
function namesOfKnown(): Map<string, Set<string>> {
  const state = getRngState();
  const dims = [1, 1, 1, 1];
  const found = new Map<string, Set<string>>();
  const add = (name: string, model: Model) => {
    found.set(name, new Set(tidy(() => [...model.stateDict().keys()])));
    model.dispose();
  };
  try {
    for (const norm of ["none", "batch"] as const)
      for (const head of ["gap", "mlp"] as const)
        add(`simple-cnn (${head}, norm ${norm})`, new SimpleCNN({ head, norm }));
    for (const name of RESNETS) add(name, new ResNet(name, { width: 1, numClasses: 1 }));
    for (const name of CONVNEXTS) add(name, new ConvNextV2(name, { dims, numClasses: 1 }));
    return found;
  } finally {
    setRngState(state);
    state.dispose();
  }
}
