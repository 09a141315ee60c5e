import type { MeasureName } from "../run/measures.ts";
import { type Markup, markup } from "./markup.ts";
import { both, formula, frac, operator, over, row, sub, sup, type Term } from "./mathml.ts";

interface Definition {
  id: MeasureName | "map" | "prototype" | "loss";
  term: string;
  text: string;
  formulas: Markup[];
}

const [MIN, MAX] = [operator("min"), operator("max")];
const norm = (term: Term) => row("‖", term, "‖");

const DEFINITIONS: readonly Definition[] = [
  {
    id: "map",
    term: "Map",
    text: "Grad-CAM of the true class t, computed for the whole batch in one pass: A are the channels of the guided layer (camLayer, or the last whose map has 7 cells or more a side), S the scores before softmax. It is enlarged to the size of the image (bilinear) and then stretched to [0, 1]; ε keeps the division finite: 10⁻⁶ of the map's range on this page, and camEps in the training objective.",
    formulas: [
      formula(
        "R = ReLU(sum over k of alpha_k A_k), alpha_k = mean over h, w of dS_t / dA_k",
        ...["R", "=", "ReLU", "(", over("∑", "k"), sub("α", "k"), sub("A", "k"), ")", ","],
        ...[
          sub("α", "k"),
          "=",
          over("mean", row("h", ",", "w")),
          frac(row("∂", sub("S", "t")), row("∂", sub("A", "k"))),
        ],
      ),
      formula(
        "M = (R - min R) / (max R - min R + epsilon)",
        ...["M", "=", frac(row("R", "−", MIN, "R"), row(MAX, "R", "−", MIN, "R", "+", "ε"))],
      ),
    ],
  },
  {
    id: "prototype",
    term: "Prototype",
    text: "The mean training image x of class c, with pixels in [0, 1] (unless the configuration names another statistic).",
    formulas: [
      formula(
        "P_c = mean of x_i over y_i = c",
        sub("P", "c"),
        "=",
        over("mean", row("i", ":", sub("y", "i"), "=", "c")),
        sub("x", "i"),
      ),
    ],
  },
  {
    id: "accuracy",
    term: "Test accuracy",
    text: "Share of the test images whose highest score is that of the true class. The test split is used after the validation split has chosen the epoch, and for nothing else.",
    formulas: [],
  },
  {
    id: "ssim",
    term: "SSIM of map and prototype",
    text: "Structural similarity, mean over positions and test images; from −1 to 1, and 1 where map and prototype are identical. Means μ, variances σ² and covariance under a Gaussian window of 11 pixels (σ = 1.5) that lies inside the image; c₁ = 0.01², c₂ = 0.03².",
    formulas: [
      formula(
        "SSIM = ((2 mu_M mu_P + c1)(2 sigma_MP + c2)) / ((mu_M^2 + mu_P^2 + c1)(sigma_M^2 + sigma_P^2 + c2))",
        ...["SSIM", "="],
        frac(
          row(
            "(",
            "2",
            sub("μ", "M"),
            sub("μ", "P"),
            "+",
            sub("c", 1),
            ")",
            "(",
            "2",
            sub("σ", row("M", "P")),
            "+",
            sub("c", 2),
            ")",
          ),
          row(
            ...["(", both("μ", "M", 2), "+", both("μ", "P", 2), "+", sub("c", 1), ")"],
            ...["(", both("σ", "M", 2), "+", both("σ", "P", 2), "+", sub("c", 2), ")"],
          ),
        ),
      ),
    ],
  },
  {
    id: "l1",
    term: "L1 of map and prototype",
    text: "Mean absolute difference over pixels and test images, against the prototype of the true class.",
    formulas: [formula("L1 = mean |M - P_y|", "L1", "=", "mean", "|", "M", "−", sub("P", "y"), "|")],
  },
  {
    id: "l2",
    term: "L2 of map and prototype",
    text: "Mean squared difference, likewise.",
    formulas: [formula("L2 = mean (M - P_y)^2", "L2", "=", "mean", "(", "M", "−", sub("P", "y"), sup(")", 2))],
  },
  {
    id: "coherence",
    term: "Coherence",
    text: "How alike the maps of one class are: mean cosine of all pairs of its maps on the test split, then the mean over classes. A dead map is similar to nothing. High values alone say little, for maps that are all the same reach 1.",
    formulas: [
      formula(
        "coherence_c = mean over i < j, y_i = y_j = c of (M_i . M_j) / (|M_i| |M_j|)",
        ...[sub("coherence", "c"), "=", over("mean", row("i", "<", "j"))],
        frac(row(sub("M", "i"), "·", sub("M", "j")), row(norm(sub("M", "i")), norm(sub("M", "j")))),
      ),
    ],
  },
  {
    id: "energy",
    term: "Energy in the foreground",
    text: "Share of a map’s sum that lies on the foreground F of its own image, the pixels brighter than 0.1; mean over the maps that are not dead.",
    formulas: [
      formula(
        "energy = sum over p in F of M_p / sum over p of M_p",
        ...["energy", "=", frac(row(over("∑", row("p", "∈", "F")), sub("M", "p")), row(over("∑", "p"), sub("M", "p")))],
      ),
    ],
  },
  {
    id: "dead",
    term: "Dead maps",
    text: "Share of the test images whose map is zero everywhere, because no channel speaks for the true class: max R = 0. They count in every other mean but that of the energy.",
    formulas: [],
  },
  {
    id: "seconds",
    term: "Seconds per epoch",
    text: "Mean wall time of an epoch’s training steps on this machine, without validation. What else ran on the machine moves it: the cost of guidance is what the project’s benchmark of single steps measures, plain and guided in turn.",
    formulas: [],
  },
  {
    id: "loss",
    term: "Loss",
    text: "What guided training minimises: cross-entropy, plus the distance d (L1, L2 or 1 − SSIM) of each map from its prototype, plus the distance of the mean map of each class in the batch. Each weight λ grows linearly during the warm-up. Plain training minimises the cross-entropy alone, a baseline its own term beside it. The formula of the last term is that of the target “prototype”.",
    formulas: [
      formula(
        "loss = CE + lambda_p PrototypeLoss + lambda_b BatchCamLoss",
        ...[
          "loss",
          "=",
          "CE",
          "+",
          sub("λ", "p"),
          over("mean", "b"),
          "d",
          "(",
          sub("M", "b"),
          ",",
          sub("P", sub("y", "b")),
          ")",
        ],
        ...["+", sub("λ", "b"), over("mean", "c"), "d", "("],
        ...[over("mean", row("b", ":", sub("y", "b"), "=", "c")), sub("M", "b"), ",", sub("P", "c"), ")"],
      ),
    ],
  },
];

/** A quantity of which there is no formula to show. */
export interface PlainDefinition {
  id: string;
  term: string;
  text: string;
}

/** What every number and picture of the page means, with its formula; `without` names those that a page has not, `more` others. */
export function definitionList({ without = [], more = [] }: DefinitionChoice = {}): Markup {
  const own = DEFINITIONS.filter(({ id }) => !without.includes(id));
  const entries = [...own, ...more.map((one) => ({ ...one, formulas: [] }))].map(({ id, term, text, formulas }) => {
    return markup`<div id="about-${id}"><dt>${term}</dt><dd><p>${text}</p>${formulas}</dd></div>\n`;
  });
  return markup`<dl class="definitions">
${entries}</dl>`;
}

interface DefinitionChoice {
  without?: readonly Definition["id"][];
  more?: readonly PlainDefinition[];
}
