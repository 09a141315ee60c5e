import type { Markup } from "./markup.ts";
import { both, formula, frac, operator, over, row, sub, sup, type Term } from "./mathml.ts";

const [MIN, MAX] = [operator("min"), operator("max")];
const norm = (term: Term) => row("‖", term, "‖");
const inParentheses = (...terms: Term[]) => row("(", ...terms, ")");

const mapFormulas = (): Markup[] => {
  const channelSum = row(over("∑", "k"), sub("α", "k"), sub("A", "k"));
  const gradient = frac(row("∂", sub("S", "t")), row("∂", sub("A", "k")));
  const weight = row(sub("α", "k"), "=", over("mean", row("h", ",", "w")), gradient);
  const stretched = frac(row("R", "−", MIN, "R"), row(MAX, "R", "−", MIN, "R", "+", "ε"));
  return [
    formula(
      "R = ReLU(sum over k of alpha_k A_k), alpha_k = mean over h, w of dS_t / dA_k",
      row("R", "=", "ReLU", inParentheses(channelSum), ",", weight),
    ),
    formula("M = (R - min R) / (max R - min R + epsilon)", row("M", "=", stretched)),
  ];
};

const prototypeFormula = (): Markup => {
  const ofClass = over("mean", row("i", ":", sub("y", "i"), "=", "c"));
  return formula("P_c = mean of x_i over y_i = c", row(sub("P", "c"), "=", ofClass, sub("x", "i")));
};

const ssimFormula = (): Markup => {
  const means = inParentheses("2", sub("μ", "M"), sub("μ", "P"), "+", sub("c", 1));
  const covariance = inParentheses("2", sub("σ", row("M", "P")), "+", sub("c", 2));
  const squares = (letter: string, index: number) =>
    inParentheses(both(letter, "M", 2), "+", both(letter, "P", 2), "+", sub("c", index));
  return formula(
    "SSIM = ((2 mu_M mu_P + c1)(2 sigma_MP + c2)) / ((mu_M^2 + mu_P^2 + c1)(sigma_M^2 + sigma_P^2 + c2))",
    row("SSIM", "=", frac(row(means, covariance), row(squares("μ", 1), squares("σ", 2)))),
  );
};

const coherenceFormula = (): Markup => {
  const cosine = frac(row(sub("M", "i"), "·", sub("M", "j")), row(norm(sub("M", "i")), norm(sub("M", "j"))));
  return formula(
    "coherence_c = mean over i < j, y_i = y_j = c of (M_i . M_j) / (|M_i| |M_j|)",
    row(sub("coherence", "c"), "=", over("mean", row("i", "<", "j")), cosine),
  );
};

const energyFormula = (): Markup => {
  const sumOver = (range: Term) => row(over("∑", range), sub("M", "p"));
  return formula(
    "energy = sum over p in F of M_p / sum over p of M_p",
    row("energy", "=", frac(sumOver(row("p", "∈", "F")), sumOver("p"))),
  );
};

const lossFormula = (): Markup => {
  const prototypeLoss = row(over("mean", "b"), "d", inParentheses(sub("M", "b"), ",", sub("P", sub("y", "b"))));
  const meanMap = row(over("mean", row("b", ":", sub("y", "b"), "=", "c")), sub("M", "b"));
  const batchCamLoss = row(over("mean", "c"), "d", inParentheses(meanMap, ",", sub("P", "c")));
  const guidance = row(sub("λ", "p"), prototypeLoss, "+", sub("λ", "b"), batchCamLoss);
  return formula("loss = CE + lambda_p PrototypeLoss + lambda_b BatchCamLoss", row("loss", "=", "CE", "+", guidance));
};

/** The formulas of the terms that a page defines. */
export const FORMULAS: Readonly<Record<string, readonly Markup[]>> = {
  map: mapFormulas(),
  prototype: [prototypeFormula()],
  mapSsim: [ssimFormula()],
  mapL1: [formula("L1 = mean |M - P_y|", row("L1", "=", "mean", "|", "M", "−", sub("P", "y"), "|"))],
  mapL2: [formula("L2 = mean (M - P_y)^2", row("L2", "=", "mean", "(", "M", "−", sub("P", "y"), sup(")", 2)))],
  coherence: [coherenceFormula()],
  energyInForeground: [energyFormula()],
  loss: [lossFormula()],
};
