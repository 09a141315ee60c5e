"""Writes test/fixtures/cam_extra_*.safetensors and extra-manifest.json: explanations by pytorch-grad-cam, torch-cam and captum.

Run by make-cam-fixtures.mjs, or in an environment with requirements/explain.txt: python make-cam-fixtures.py test/fixtures. Networks,
weights and images are those of the cam_* fixtures already there. Noise is drawn once and stored, and every library is made to use it.
out64/ is the result of the library in float64, or of this script's own formula if the library rounds to float32 internally.
"""

import contextlib
import copy
import functools
import sys
from importlib.metadata import version
from unittest import mock

import cam_definitions as defined
import captum.attr
import numpy as np
import pytorch_grad_cam as pgc
import torch
import torch.nn.functional as F
import torchcam.methods
from cam_networks import Subject
from fixture_cases import both, numbers, write_case, write_manifest
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

STD, SAMPLES, STEPS = 0.3, 4, 20
PGC, TORCHCAM, CAPTUM = ("grad-cam", "torchcam", "captum")


def grad_cam(method, subject, targets=None, step="get_cam_image", layers=True, **options):
    """The result of `step` of a pytorch-grad-cam method, and the map that the method returns."""
    with method(model=subject.model, target_layers=[subject.target_layer()] if layers else []) as cam:
        original, seen = getattr(cam, step), []
        setattr(cam, step, lambda *given: seen.append(original(*given)) or seen[-1])
        scaled = cam(
            input_tensor=subject.x.clone(),
            targets=[ClassifierOutputTarget(c) for c in targets or subject.y],
            **options,
        )
    return seen[-1].copy(), scaled


def gradients_at(subject, x, modules):
    """The outputs of modules, their gradients, and the gradient of the image."""
    outputs, x = [], x.clone().requires_grad_()
    hooks = [m.register_forward_hook(lambda _m, _i, out: outputs.append(out) or out.clone()) for m in modules]
    logits = subject.model(x)
    for hook in hooks:
        hook.remove()
    score = logits[range(len(x)), subject.y].sum()
    *gradients, image = torch.autograd.grad(score, [*outputs, x])
    return [out.detach() for out in outputs], gradients, image


def minmax(maps, over=(-2, -1)):
    low = maps - maps.amin(over, keepdim=True)
    return low / (1e-7 + low.amax(over, keepdim=True))


def smoothing(subject):
    aug = grad_cam(pgc.GradCAM, subject, aug_smooth=True)[1]
    signed, eigen = grad_cam(pgc.GradCAM, subject, eigen_smooth=True)
    wide = subject.wide()
    [maps], [grads], _ = gradients_at(wide, wide.x, [wide.target_layer()])
    points = (grads.mean((2, 3), keepdim=True) * maps).flatten(2).transpose(1, 2)
    points = points - points.mean(1, keepdim=True)
    exact = (points @ torch.linalg.svd(points).Vh[:, 0, :, None]).reshape(signed.shape)
    exact *= (exact * torch.from_numpy(signed)).sum((1, 2), keepdim=True).sign()
    tensors = {"out/GradCAM/aug/scaled": aug, "out/GradCAM/eigen/raw_signed": signed, "out/GradCAM/eigen/scaled": eigen}
    return tensors | {"out64/GradCAM/eigen/raw_signed": exact}


def full_gradient_terms(subject):
    """|x * d/dx|, and |b * G| of every layer that FullGrad uses, each (B, K, h, w)."""
    kinds = (torch.nn.Conv2d, torch.nn.BatchNorm2d)
    layers = [m for m in subject.model.modules() if isinstance(m, kinds) and m.bias is not None]
    _, grads, image = gradients_at(subject, subject.x, layers)
    terms = [image * subject.x]
    for layer, grad in zip(layers, grads, strict=True):
        bias = layer.bias.data
        if isinstance(layer, torch.nn.BatchNorm2d):
            bias = bias - layer.running_mean * layer.weight.data / torch.sqrt(layer.running_var + layer.eps)
        terms.append(bias[:, None, None] * grad)
    return [term.abs() for term in terms]


def fullgrad(subject):
    total, scaled = grad_cam(pgc.FullGrad, subject, step="compute_cam_per_layer", layers=False)
    terms = full_gradient_terms(subject.wide())
    resize = functools.partial(F.interpolate, size=subject.x.shape[-2:], mode="bilinear", align_corners=False)
    exact = sum(resize(minmax(term)).sum(1) for term in terms)
    layerwise = sum(resize(minmax(term, (1, 2, 3))).sum(1) for term in terms)
    tensors = {"out/FullGrad/sum": total[:, 0], "out/FullGrad/scaled": scaled}
    tensors |= {"out64/FullGrad/sum": exact, "out64/FullGrad/scaled": minmax(exact)}
    return tensors | {"out64/FullGrad/layerwise/sum": layerwise}


def guided(subject):
    def compute(chosen):
        explain = pgc.GuidedBackpropReLUModel(model=copy.deepcopy(chosen.model))
        maps = [explain(chosen.x[i : i + 1].clone(), target_category=c) for i, c in enumerate(chosen.y)]
        return {"GuidedBackprop": np.stack(maps).transpose(0, 3, 1, 2)}

    return both(subject, compute)


def classes(subject):
    count = subject.model(subject.x).shape[1]

    def compute(chosen):
        maps = [grad_cam(pgc.GradCAM, chosen, targets=[c] * len(chosen.y)) for c in range(count)]
        return {f"GradCAM/classes/{key}": np.stack(part, 1) for key, part in zip(("raw_signed", "scaled"), zip(*maps))}

    return {key: value for key, value in both(subject, compute).items() if key != "out64/GradCAM/classes/scaled"}


def score_cam(subject):
    half_pixel = functools.partial(torch.nn.Upsample, mode="bilinear", align_corners=False)

    def compute(chosen):
        with mock.patch("torch.nn.UpsamplingBilinear2d", half_pixel):
            signed, scaled = grad_cam(pgc.ScoreCAM, chosen)
        return {"ScoreCAM/half_pixel/raw_signed": signed, "ScoreCAM/half_pixel/scaled": scaled}

    return {key: value for key, value in both(subject, compute).items() if key != "out64/ScoreCAM/half_pixel/scaled"}


def torch_cam(method, subject, noise=None):
    """The raw and the normalised map of a torch-cam method; `noise` replaces the samples of its distribution."""
    result = {}
    for key, normalized in (("raw", False), ("normalized", True)):
        with method(subject.model, subject.layer) as cam, torch.enable_grad():
            scores = subject.model(subject.x.clone().requires_grad_())
            if noise is not None:
                cam._distrib = mock.Mock(sample=mock.Mock(side_effect=list(noise.to(subject.x.dtype))))
            result[key] = cam(subject.y, scores, normalized=normalized)[0]
    return result


def smooth_mean(subject, noise):
    """Smooth Grad-CAM++ with the mean of every derivative and the maps of the clean image."""
    layers = [subject.target_layer()]
    grads = torch.stack([gradients_at(subject, subject.x + n, layers)[1][0] for n in noise.to(subject.x)])
    [maps] = gradients_at(subject, subject.x, layers)[0]
    first, second, third = (grads.pow(p).mean(0) for p in (1, 2, 3))
    alpha = second / (2 * second + (third * maps).sum((2, 3), keepdim=True) + 1e-8)
    return ((alpha * first.relu()).sum((2, 3), keepdim=True) * maps).sum(1).relu()


def torchcam_maps(subject):
    noise = draw_noise(subject)

    def compute(chosen):
        smooth = functools.partial(torch_cam, torchcam.methods.SmoothGradCAMpp, chosen)
        found = {"ScoreCAM": torch_cam(torchcam.methods.ScoreCAM, chosen)}
        found |= {"GradCAMpp": torch_cam(torchcam.methods.GradCAMpp, chosen)}
        found |= {"SmoothGradCAMpp": smooth(noise), "SmoothGradCAMpp/std0": smooth(torch.zeros_like(noise))}
        found |= {"SmoothGradCAMpp/mean": {"raw": smooth_mean(chosen, noise)}}
        return {f"{name}/{key}": value for name, maps in found.items() for key, value in maps.items()}

    return {"input/noise": noise} | both(subject, compute)


def captum_gradients(subject):
    def compute(chosen):
        x = chosen.x.clone()
        integrate = functools.partial(captum.attr.IntegratedGradients(chosen.model).attribute, x, target=chosen.y)
        found = {"Saliency": captum.attr.Saliency(chosen.model).attribute(x, target=chosen.y)}
        for method in ("gausslegendre", "riemann_trapezoid"):
            found[f"IntegratedGradients/{method}"] = integrate(baselines=0, n_steps=STEPS, method=method)
        return found

    return both(subject, compute)


def captum_smooth(subject):
    noise = draw_noise(subject)

    def compute(chosen):
        drawn = noise.transpose(0, 1).flatten(0, 1).to(chosen.x) # captum expects the samples of an image next to each other
        tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(chosen.model))
        settings = {"nt_type": "smoothgrad", "nt_samples": SAMPLES, "stdevs": STD, "target": chosen.y}
        with mock.patch("torch.normal", lambda *_: drawn):
            return {
                f"SmoothGrad/{key}": tunnel.attribute(chosen.x.clone(), abs=absolute, **settings)
                for key, absolute in (("abs", True), ("signed", False))
            }

    return {"input/noise": noise} | both(subject, compute)


def draw_noise(subject):
    return STD * torch.randn([SAMPLES, *subject.x.shape], generator=torch.Generator().manual_seed(7))


LOOSE = {
    "rtol": 1e-3,
    "atol": 1e-4,
    "note": "scaled and normalized maps: atol 1e-3 is ample; raw maps: relative to max|raw| of the sample",
}
TIGHT = {
    "rtol": 1e-4,
    "atol": 1e-6,
    "rel_l2": 1e-4,
    "abs_l2": 1e-8,
    "note": "gradients by rel_l2: a ReLU at its kink may differ",
}
NOISE = {"std": STD, "num_samples": SAMPLES, "noise": "input/noise is (sample, B, C, H, W), scaled by std already"}
PATH = {"n_steps": STEPS, "baseline": 0}
# For each kind: the function that computes the tensors, the library, what is checked, the paragraphs of the definition, parameters,
# tolerance.
KINDS = {
    "smoothing": (smoothing, PGC, "GradCAM with aug_smooth and with eigen_smooth", "G AUG EIGEN MINMAX", {}, LOOSE),
    "fullgrad": (fullgrad, PGC, "FullGrad, summed and scaled", "FULLGRAD MINMAX", {}, LOOSE),
    "guided": (guided, PGC, "guided backpropagation", "GUIDED", {}, TIGHT),
    "classes": (classes, PGC, "GradCAM of every class", "CLASSES MINMAX", {}, LOOSE),
    "scorecam": (score_cam, PGC, "ScoreCAM upsampled with half-pixel centres", "SCORECAM MINMAX", {}, LOOSE),
    "torchcam": (torchcam_maps, TORCHCAM, "torch-cam's maps", "G TC_SCORECAM TC_PLUS TC_SMOOTH", NOISE, LOOSE),
    "captum": (captum_gradients, CAPTUM, "gradients of the image", "SALIENCY INTEGRATED", PATH, TIGHT),
    "smoothgrad": (captum_smooth, CAPTUM, "SmoothGrad", "SMOOTHGRAD", NOISE, TIGHT),
}
SUBJECTS = {
    "cam_small_cnn": tuple(KINDS),
    "cam_small_cnn_mlp": tuple(KINDS),
    "cam_narrow_resnet18_layer4": ("fullgrad", "guided"),
}


def case_of(subject, kind, folder):
    compute, library, checks, paragraphs, params, tolerance = KINDS[kind]
    entry = {
        "checks": checks,
        "source": f"{library} {version(library)}",
        "definition": " ".join(" ".join(getattr(defined, key).split()) for key in paragraphs.split()),
        "params": {"base": subject.base, "target_layers": [subject.layer]} | params,
        "tolerance": tolerance,
    }
    return write_case(folder, f"{subject.base.replace('cam_', 'cam_extra_', 1)}_{kind}", compute(subject), entry)


def main(folder):
    torch.manual_seed(0)
    subjects = {base: Subject(base, folder) for base in SUBJECTS}
    with contextlib.redirect_stdout(None), mock.patch("tqdm.tqdm", lambda steps, **_: steps):
        cases = [case_of(subjects[base], kind, folder) for base, kinds in SUBJECTS.items() for kind in kinds]
    libraries = ("torch", "torchvision", PGC, TORCHCAM, CAPTUM, "numpy", "opencv-python-headless", "safetensors")
    write_manifest(folder, "scripts/make-cam-fixtures.py", libraries, cases)


main(*sys.argv[1:])
