"""Definitions of the quantities that make-cam-fixtures.py computes, as its manifest states them."""

MINMAX = """
minmax(v) = (v - min) / (1e-7 + max(v - min)), per map; resize: bilinear, half-pixel centres, no antialias
(cv2.resize, float32).
"""

G = """
G = d(sum_b logit[b,y_b])/dA, model in eval mode, A the output of the target layer.
"""

AUG = """
six passes, flip in (no, horizontal) x factor in (0.9, 1, 1.1): GradCAM of factor * flip(x), scaled as in cam_*,
flipped back; out/GradCAM/aug/scaled = their mean, NOT scaled again.
"""

EIGEN = """
eigen: P = w_k A (channel-weighted maps, w_k = mean_ij G) reshaped to (HW,K), minus column means; v = first right
singular vector (sign arbitrary); raw_signed = P v, raw_signed of out64 in float64 with the sign of the library's;
scaled = minmax(resize(minmax(relu(raw_signed)))).
"""

FULLGRAD = """
sum = sum_c minmax(|x_c * d/dx_c|) + sum over all BatchNorm2d and all Conv2d that have a bias (anywhere, Linear left
out) of sum_k resize(minmax(|b_k G_k|)); G the gradient at that layer's output, b its bias, for batch norm bias -
running_mean * weight / sqrt(running_var + eps). EVERY channel is min-max scaled by itself, before the resizing.
scaled = minmax(sum). out64: the same formula in float64 by the script. layerwise/sum, by the script alone: minmax over
all channels and pixels of a term together, as the paper's code does.
"""

GUIDED = """
gradient of logit[y] with respect to x, one call an image, every ReLU module replaced by one whose backward is g *
(input > 0) * (g > 0); signed, (B,C,H,W).
"""

CLASSES = """
raw_signed[b,c] = sum_k (mean_ij dlogit[b,c]/dA_k) A_k, one call a class; scaled =
minmax(resize(minmax(relu(raw_signed)))).
"""

SCORECAM = """
pytorch-grad-cam's ScoreCAM with align_corners=False in place of its UpsamplingBilinear2d: U = A upsampled to the
image, per channel (U - min)/(max - min + 1e-8) AFTER upsampling, multiplied on x; w = softmax over k of the logits of
y; raw_signed = sum_k w_k A. out64: w is rounded to float32 by the library.
"""

TC_SCORECAM = """
ScoreCAM: A per channel (A - min)/(max(A - min) + 1e-8) BEFORE upsampling (align_corners=False), multiplied on x; w =
softmax over k of (logit of the masked image - logit of x); raw = relu(sum_k w_k A).
"""

TC_PLUS = """
GradCAMpp: raw = relu(sum_k (sum_ij G^2 relu(G)) A): the division by 2G^2 + sum_ij(G^3 A) + 1e-8 is applied to a copy
(masked indexing) and lost.
"""

TC_SMOOTH = """
SmoothGradCAMpp, S noisy passes x + input/noise[s]: D2, D3 = means over s of G^2, G^3; a = D2/(2 D2 + sum_ij(D3 A) +
1e-8), A of the clean x; w_k = sum_ij a relu(G of the LAST pass); raw = relu(sum_k w_k A of the LAST pass): not the
clean map. std0: all noise zero, S = 4: the ++ formula, G^3 inside the sum. mean/raw is the script's, not the
library's: D1 = mean of G, w_k = sum_ij a relu(D1), raw = relu(sum_k w_k A), A clean (Omeiza et al. 2019, with D2 as
the numerator of a). normalized = (raw - min)/(max(raw - min) + 1e-8).
"""

SALIENCY = """
Saliency = |d logit[y] / dx|, (B,C,H,W).
"""

INTEGRATED = """
IntegratedGradients, baseline 0 (of x as the network sees it), 20 steps: x * sum_s w_s * d logit[y]/dx at alpha_s x.
gausslegendre: nodes and weights of the 20-point rule on [0,1]. riemann_trapezoid: alpha_s = s/19, w = 1/20, the first
and last 1/40: they sum to 19/20, so completeness misses by 1/20. Weights are rounded to float32, in out64 too.
"""

SMOOTHGRAD = """
NoiseTunnel(Saliency), smoothgrad, 4 samples x + input/noise[s]: abs: mean_s |d logit[y]/dx|; signed: mean_s d
logit[y]/dx (the paper's).
"""
