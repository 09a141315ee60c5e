"""Writes test/fixtures/metrics_extra_*.safetensors, and their cases into extra-manifest.json: metrics computed by other libraries. Run
by make-cam-fixtures.mjs after make-cam-fixtures.py, or by itself in the same way. Network, images, masks and maps are those of
metrics_explanation. Random values are drawn from a seed or stored. The docstring of a function is the definition of its case.
"""

import contextlib
import functools
import json
import sys
from importlib.metadata import version
from unittest import mock

import numpy as np
import pytorch_grad_cam as pgc
import quantus
import torch
from cam_networks import Subject
from captum.metrics import sensitivity_max
from fixture_cases import both, write_case, write_manifest
from pytorch_grad_cam.metrics.road import ROADCombined
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from quantus.functions.perturb_func import noisy_linear_imputation
from torchcam.metrics import ClassificationMetric, DeletionInsertionMetric

RADIUS, SAMPLES, SEED = 0.1, 5, 0
DIVISORS, STEPS = (14, 28), 20


def grad_cam(model, images, classes):
    """pytorch-grad-cam's GradCAM of act3, scaled, (N,H,W)."""
    with torch.enable_grad(), pgc.GradCAM(model=model, target_layers=[model.get_submodule("act3")]) as cam:
        return cam(input_tensor=images.clone(), targets=[ClassifierOutputTarget(int(c)) for c in classes])


def judged(metric, maps, masks=None, alone=True, **options):
    """A Quantus metric of maps (N,H,W), in one call for each map or one call for all."""
    maps = np.asarray(maps)[:, None]
    masks = np.ones_like(maps, dtype=np.uint8) if masks is None else np.asarray(masks)[:, None]
    parts = [slice(i, i + 1) for i in range(len(maps))] if alone else [slice(None)]
    judge = metric(disable_warnings=True, **options)
    given = [(maps[part].copy(), masks[part]) for part in parts]
    found = [judge(model=None, x_batch=a, y_batch=np.zeros(len(a), int), a_batch=a, s_batch=s) for a, s in given]
    return np.concatenate([np.asarray(scores, dtype=np.float64) for scores in found])


def quantus_maps(subject):
    """Quantus on input/maps in float64, a call for each map so that its division by the largest magnitude, which is taken over all
    maps of a call, is the map's own. Maps: 0-3 saliency of the base; 4-7 saliency - 0.6, signed; 8-11 round(3 *
    saliency) / 3000, few values and small ones. Masks: the base's, three times. Sparseness: Gini index of |M| / max|M| +
    1e-7; together: the twelve in one call, so max over all of them, max = 1. PointingGame: 1 if ANY of the
    largest values is inside. RelevanceRankAccuracy: abs=False, its default here; abs/ with abs=True; maps 0-7, because
    argsort orders equal values as it likes. RelevanceMassAccuracy: sum in mask / sum, negative values subtract.
    AttributionLocalisation: the same of |M|, 1e-9 added to the sum; positive/ with abs=False and
    positive_attributions=True, of max(M, 0). undefined/: one call with (saliency 0, empty mask) and (dead map, mask 0);
    RelevanceRankAccuracy of the first alone."""
    saliency, masks = subject.stored["input/saliency"], subject.stored["input/mask"]
    maps = torch.cat([saliency, saliency - 0.6, (saliency * 3).round() / 3000])
    odd_maps = torch.stack([saliency[0], torch.zeros_like(saliency[0])])
    odd_masks = torch.stack([torch.zeros_like(masks[0]), masks[0]])
    masks = masks.repeat(3, 1, 1)
    positive = {"abs": False, "positive_attributions": True}
    ranks, mass, share = quantus.RelevanceRankAccuracy, quantus.RelevanceMassAccuracy, quantus.AttributionLocalisation

    given, odd = maps.double(), odd_maps.double()
    undefined = {metric.__name__: judged(metric, odd, odd_masks, alone=False) for metric in (mass, share)}
    undefined["Sparseness"] = judged(quantus.Sparseness, odd, alone=False)
    undefined["PointingGame"] = judged(quantus.PointingGame, odd, odd_masks, alone=False)
    undefined["RelevanceRankAccuracy"] = judged(ranks, odd[:1], odd_masks[:1])
    found = {
        "Sparseness": judged(quantus.Sparseness, given),
        "Sparseness/together": judged(quantus.Sparseness, given, alone=False),
        "PointingGame": judged(quantus.PointingGame, given, masks),
        "RelevanceRankAccuracy": judged(ranks, given[:8], masks),
        "RelevanceRankAccuracy/abs": judged(ranks, given[:8], masks, abs=True),
        "RelevanceMassAccuracy": judged(mass, given, masks),
        "AttributionLocalisation": judged(share, given, masks),
        "AttributionLocalisation/positive": judged(share, given, masks, **positive),
    } | {f"undefined/{key}": value for key, value in undefined.items()}
    return {"input/maps": maps} | {f"out64/{key}": value for key, value in found.items()}


def captum_sensitivity(subject):
    """sensitivity_max, (N): max over 5 samples of |E(x + d) - E(x)| / |E(x)| (L2 over the map; not divided where
    |E(x)| = 0), d = (2 u - 1) * 0.1, u = torch.rand([4 * 5, 1, 28, 28]) after torch.manual_seed(0), the samples of an
    image together. GradCAM: E is pytorch-grad-cam's GradCAM of act3 for input/y, scaled. dead: E = relu(x - 1), dead for
    every x, not for x + d."""
    classes = torch.tensor(subject.y)

    def perturb(images):
        torch.manual_seed(SEED)
        return images + (torch.rand(images.shape) * 2 - 1) * RADIUS

    def measure(explain, **options):
        def either(given, **target): # captum passes a tuple and expects one for the clean images only
            return (explain(*given, **target),) if isinstance(given, tuple) else explain(given, **target)

        return sensitivity_max(either, subject.x, perturb, n_perturb_samples=SAMPLES, **options)

    def explain(images, target):
        return torch.from_numpy(grad_cam(subject.model, images, target))

    return {"out/GradCAM": measure(explain, target=classes), "out/dead": measure(lambda images: (images - 1).relu())}


def quantus_randomisation(subject):
    """MPRT, top_down (cascade) and independent, Spearman's correlation (scipy) of |maps| / max with those of the whole
    model, (N) for each layer; maps: pytorch-grad-cam's GradCAM of act3 for input/y, scaled. A layer is re-initialised by
    its reset_parameters after torch.manual_seed(43): input/random/ holds what it became, the same in both orders;
    input/maps/ holds the whole model's maps and those with fc re-initialised.
    buffers_kept/: with BatchNorm2d's reset_running_stats doing nothing, so that weights alone change; as_is/: the
    library as it is, whose reset_parameters also sets running_mean = 0 and running_var = 1."""
    given = {"model": subject.model, "x_batch": subject.x.numpy(), "y_batch": np.array(subject.y)}
    found = {}

    def explain(model, inputs, targets, **_):
        model.eval()
        return grad_cam(model, torch.as_tensor(inputs), targets)[:, None]

    def note(model, inputs, targets, **_):
        found.update({f"input/random/{key}": value.clone() for key, value in model.named_parameters()})
        maps = explain(model, inputs, targets)
        if not torch.equal(model.fc.weight, subject.model.fc.weight):
            found.setdefault("input/maps/fc", maps[:, 0].copy())
        return maps

    def run(order, explain_func):
        metric = quantus.MPRT(layer_order=order, disable_warnings=True)
        maps = explain(subject.model, *[given[key] for key in ("x_batch", "y_batch")])
        found["input/maps/whole"] = maps[:, 0].copy()
        return metric(**given, a_batch=maps, explain_func=explain_func, channel_first=True)

    for kind in ("buffers_kept", "as_is"):
        kept = mock.patch.object(torch.nn.BatchNorm2d, "reset_running_stats", lambda _self: None)
        with kept if kind == "buffers_kept" else contextlib.nullcontext():
            for name, order in (("cascade", "top_down"), ("independent", "independent")):
                scores = run(order, note if order == "top_down" else explain)
                assert np.all(np.array(scores.pop("original")) > 1 - 1e-6)
                found |= {f"out64/{kind}/{name}/{layer}": np.float64(value) for layer, value in scores.items()}
    return found


class Given:
    """An extractor with torch-cam's interface that returns a given map."""

    def __init__(self, model, maps):
        self.model, self.maps, self._hooks_off = model, maps, contextlib.nullcontext

    def __call__(self, *_given, **_options):
        return [self.maps]

    def fuse_cams(self, maps):
        return maps[0]


def torchcam_confidence(subject):
    """torchcam.metrics of input/saliency of the base, logits_fn = softmax, a metric for each image. ClassificationMetric:
    avg_drop = relu(Y - O) / (Y + 1e-7), conf_increase = 1 where Y < O, O of x * saliency. DeletionInsertionMetric with
    baseline zero and blur (input/blurred of the base): counts of changed pixels 0, s, 2s, ..., HW with s = ceil(HW /
    steps), trapezoids of the widths between them; 14 and 28 divide HW = 784, 20 does not: s = 40, the last step 24."""

    def compute(chosen):
        images, found = chosen.x, {}
        maps, blurred = (subject.stored[f"input/{key}"].to(images) for key in ("saliency", "blurred"))

        def run(metric, **options):
            for i, label in enumerate(chosen.y):
                ready = {key: value[i : i + 1] if torch.is_tensor(value) else value for key, value in options.items()}
                judge = metric(Given(chosen.model, maps[i : i + 1]), functools.partial(torch.softmax, dim=-1), **ready)
                judge.update(images[i : i + 1], [label])
                yield judge.summary()

        rows = {"": run(ClassificationMetric)}
        for steps in (*DIVISORS, STEPS):
            for name, baseline in (("zero", None), ("blur", blurred)):
                rows[f"{name}_{steps}/"] = run(DeletionInsertionMetric, steps=steps, baseline=baseline)
        for prefix, summaries in rows.items():
            summaries = list(summaries)
            found |= {f"{prefix}{key}": torch.tensor([row[key] for row in summaries], dtype=torch.float64) for key in summaries[0]}
        return found

    return both(subject, compute)


def road(subject):
    """ROADCombined of input/saliency of the base, logits of input/y, percentiles 10, 20 ... 90, (lerf - morf) / 2 of the
    means, its noise set to zero. imputed: Quantus' noisy_linear_imputation, noise 0, of the floor(HW / 2) pixels with the
    largest saliency."""
    saliency = subject.stored["input/saliency"]
    half = saliency.flatten(1).argsort(dim=1, descending=True, stable=True)[:, : saliency[0].numel() // 2]
    with mock.patch("torch.randn_like", torch.zeros_like):
        targets = [ClassifierOutputTarget(label) for label in subject.y]
        combined = ROADCombined()(subject.x, saliency.numpy(), targets, subject.model)
    imputed = [noisy_linear_imputation(x.numpy(), rows.numpy(), noise=0) for x, rows in zip(subject.x, half)]
    return {"out/ROADCombined": combined, "out/quantus/imputed": np.stack(imputed)}


# For each kind: the function that computes the tensors, the libraries, what is checked, parameters, tolerance, and the tensors that
# contain NaN.
KINDS = {
    "maps": (
        quantus_maps,
        "quantus",
        "Sparseness, PointingGame, RelevanceRankAccuracy, RelevanceMassAccuracy, AttributionLocalisation",
        {},
        {"rtol": 1e-12, "atol": 2e-9},
        [
            "out64/undefined/AttributionLocalisation",
            "out64/undefined/RelevanceMassAccuracy",
            "out64/undefined/RelevanceRankAccuracy",
        ],
    ),
    "sensitivity": (
        captum_sensitivity,
        "captum grad-cam",
        "sensitivity_max",
        {"radius": RADIUS, "samples": SAMPLES, "seed": SEED},
        {"rtol": 1e-4, "atol": 1e-6},
        [],
    ),
    "randomisation": (
        quantus_randomisation,
        "quantus grad-cam",
        "MPRT",
        {},
        {"rtol": 0, "atol": 5e-4},
        ["out64/as_is/independent/conv3", "out64/buffers_kept/independent/conv3"],
    ),
    "confidence": (
        torchcam_confidence,
        "torchcam",
        "ClassificationMetric, DeletionInsertionMetric",
        {"steps": [*DIVISORS, STEPS]},
        {"rtol": 1e-5, "atol": 1e-6},
        [],
    ),
    "road": (road, "grad-cam quantus", "ROADCombined, and Quantus' imputation", {}, {"rtol": 1e-5, "atol": 1e-6}, []),
}


def case_of(subject, kind, folder):
    compute, libraries, checks, params, tolerance, nonfinite = KINDS[kind]
    entry = {
        "checks": checks,
        "source": ", ".join(f"{library} {version(library)}" for library in libraries.split()),
        "definition": " ".join(compute.__doc__.split()),
        "params": {"base": subject.base} | params,
        "tolerance": tolerance,
        "nonfinite_tensors": nonfinite,
    }
    return write_case(folder, f"metrics_extra_{kind}", compute(subject), entry)


def main(folder):
    subject = Subject("metrics_explanation", folder)
    with torch.no_grad():
        found = subject.model(subject.x).softmax(1)[range(len(subject.y)), subject.y]
    torch.testing.assert_close(found.double(), subject.stored["out64/prob_full"], rtol=1e-5, atol=1e-6)
    with open(f"{folder}/extra-manifest.json") as file:
        before = json.load(file)
    cases = [case for case in before["cases"] if not case["name"].startswith("metrics_extra_")]
    with np.errstate(all="ignore"), contextlib.redirect_stdout(None):
        cases += [case_of(subject, kind, folder) for kind in KINDS]
    libraries = dict.fromkeys([*before["versions"], "quantus", "scipy"])
    write_manifest(folder, "scripts/make-cam-fixtures.mjs", libraries, cases)


main(*sys.argv[1:])
