/**
 * The facts about an explanation method that flags, help and documentation use. This is plain data that loads without the
 * engine; the method itself is in `methods.ts`.
 */
export interface MethodDescription {
  readonly name: string;
  /**
   * The formula of the map before ReLU. A is the target layer's output (B, K, h, w), s the score of the explained class, G = ∂(Σ_b s_b) /
   * ∂A, and x the image.
   */
  readonly formula: string;
  /** The publication that the method comes from. */
  readonly source: string;
  /** The default number of noisy copies of each image, if the method uses them. */
  readonly samples?: number;
  /** The default number of points of the path from the baseline to the image, if the method integrates along one. */
  readonly steps?: number;
}

/** Every method, in the order of help and tables. A new method needs an entry here and a line in `methods.ts`. */
export const CAM_METHODS = [
  { name: "GradCAM", formula: "Σ_k α_k A_k, α_k = mean G_k", source: "Selvaraju 2017" },
  { name: "HiResCAM", formula: "Σ_k G_k ⊙ A_k", source: "Draelos 2020" },
  { name: "GradCAMElementWise", formula: "Σ_k ReLU(G_k ⊙ A_k)", source: "pytorch-grad-cam" },
  {
    name: "GradCAM++",
    formula: "Σ_k α_k A_k, α_k = Σ ReLU(G_k) ⊙ G_k² / (2 G_k² + (Σ A_k) G_k³ + 1e-6)",
    source: "Chattopadhay 2018",
  },
  { name: "XGradCAM", formula: "Σ_k α_k A_k, α_k = Σ G_k ⊙ A_k / (Σ A_k + 1e-7)", source: "Fu 2020" },
  { name: "LayerCAM", formula: "Σ_k ReLU(G_k) ⊙ A_k", source: "Jiang 2021" },
  { name: "EigenCAM", formula: "first principal component of A", source: "Muhammad 2020" },
  { name: "EigenGradCAM", formula: "first principal component of G ⊙ A", source: "Muhammad 2020" },
  {
    name: "AblationCAM",
    formula: "Σ_k α_k A_k, α_k = (s − s_k) / |s|, s_k the score without channel k",
    source: "Desai 2020",
  },
  {
    name: "ScoreCAM",
    formula: "Σ_k α_k A_k, α = softmax over k of the score of x ⊙ H_k, H_k the channel at the image's size in [0, 1]",
    source: "Wang 2020",
  },
  {
    name: "SmoothGradCAM++",
    formula: "GradCAM++ with means of G, G², G³ over noisy copies",
    source: "Omeiza 2019",
    samples: 4,
  },
  {
    name: "FullGrad",
    formula: "x ⊙ ∂s/∂x and every bias ⊙ its gradient, each channel scaled, summed",
    source: "Srinivas 2019",
  },
  { name: "Saliency", formula: "max over channels of |∂s/∂x|", source: "Simonyan 2013" },
  {
    name: "IntegratedGradients",
    formula: "Σ over channels of (x − x₀) ⊙ ∫ ∂s/∂x, Gauss-Legendre",
    source: "Sundararajan 2017",
    steps: 50,
  },
  {
    name: "SmoothGrad",
    formula: "max over channels of |mean ∂s/∂x| over noisy copies",
    source: "Smilkov 2017",
    samples: 25,
  },
  {
    name: "GuidedBackprop",
    formula: "|∂s/∂x| where a ReLU passes only positive gradients",
    source: "Springenberg 2014",
  },
] as const satisfies readonly MethodDescription[];

export type MethodName = (typeof CAM_METHODS)[number]["name"];
