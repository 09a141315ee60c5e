"""The other side of bench/index.mjs: training steps in PyTorch, as a strong user writes them.

For each request, a line of JSON on stdin, it answers one on stdout:
    {config, spec: {model, options, image}, layer, state, variants: [{objective, distance}], threads, warmup, steps}
`state` is a safetensors file with weights, images, labels and prototypes. What was built for a request is kept for the next one
of its kind.
"""

import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from camloops import LOOPS
from guidance import LOSSES, grad_cam, normalised
from networks import channels_last, network

WEIGHT = 0.5 # of the guidance losses
CONFIGS = {
    "eager": {},
    "eager-fp32": {"last": True, "fused": True},
    "eager-bf16": {"last": True, "fused": True, "amp": True},
    "compile-fp32": {"last": True, "fused": True, "compiled": True},
    "compile-bf16": {"last": True, "fused": True, "amp": True, "compiled": True},
}


class Step:
    """One training step (forward pass, loss, backward pass and update), with its network and optimizer."""

    def __init__(self, request):
        options = CONFIGS[request["config"]]
        stored = load_file(request["state"])
        weights = {name.removeprefix("model."): value for name, value in stored.items() if name.startswith("model.")}
        self.model, self.trunk, self.head = network(request["spec"], request["layer"], weights)
        self.layer = self.model.get_submodule(request["layer"])
        self.images, self.labels, self.prototypes = stored["images"], stored["labels"], stored["prototypes"]
        if options.get("last"):
            self.model.to(memory_format=torch.channels_last)
            self.images = channels_last(self.images)
        self.amp = options.get("amp", False)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=options.get("fused", False))
        self.objective, self.distance = request["objective"], request["distance"]
        self.loss, self.view = self.parts(request["objective"])
        if options.get("compiled"):
            self.compile()

    def parts(self, objective):
        """The function that computes the loss, and the one that computes maps after the update, if any."""
        if objective in LOOPS:
            return LOOPS[objective](self)
        if objective == "inference":
            self.model.eval()
            return lambda: self.inference(self.model), None
        return (self.plain if objective == "plain" else self.guided), None

    def compile(self):
        """The module to compile: the whole network, or for a guided step only the part up to the maps, because the rest is differentiated twice."""
        whole = self.objective in ("plain", "inference")
        self.compiled = torch.compile(self.model if whole else self.trunk)
        if self.objective == "inference":
            self.loss = lambda: self.inference(self.compiled)
        elif whole:
            self.loss = lambda: self.cross_entropy(self.scores(self.compiled))
        else:
            self.trunk = self.compiled

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16, enabled=self.amp)

    def scores(self, model):
        with self.autocast():
            return model(self.images)

    def cross_entropy(self, scores):
        return F.cross_entropy(scores.float(), self.labels)

    def plain(self):
        return self.cross_entropy(self.scores(self.model))

    def inference(self, model):
        with torch.inference_mode():
            return self.scores(model).float().mean()

    def guided(self):
        with self.autocast():
            activations = self.trunk(self.images)
            scores = self.head(activations)
        return self.cross_entropy(scores) + self.guidance(grad_cam(scores.float(), activations, self.labels))

    def guidance(self, maps):
        loss = LOSSES.get(self.objective, LOSSES["prototype"])
        return WEIGHT * loss(normalised(maps, self.prototypes.shape[-2:]), self.labels, self.prototypes, self.distance)

    def take(self):
        if self.objective == "inference":
            return self.loss().item()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        if self.view:
            self.view()
        return loss.item()


def timed(take):
    start = time.perf_counter()
    take()
    return time.perf_counter() - start


def usage():
    return resource.getrusage(resource.RUSAGE_SELF)


def peak_rss_mib():
    return usage().ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def cpu_seconds():
    return usage().ru_utime + usage().ru_stime


class Server:
    def __init__(self):
        self.built = {}

    def step_for(self, request):
        """A step, the loss when it was first taken, and the seconds until then, including compilation."""
        key = json.dumps([request[name] for name in ("config", "layer", "objective", "distance", "state")])
        if key not in self.built:
            began = time.perf_counter()
            step = Step(request)
            first_loss = step.take()
            self.built[key] = step, first_loss, time.perf_counter() - began
        return self.built[key]

    def answer(self, request):
        """Takes steps of all variants alternately; returns for each its seconds, its first loss, and the time it took to build."""
        torch.set_num_threads(request["threads"])
        began = cpu_seconds()
        steps, losses, built = zip(*(self.step_for({**request, **variant}) for variant in request["variants"]))
        for step in steps * request["warmup"]:
            step.take()
        rounds = [[timed(step.take) for step in steps] for _ in range(request["steps"])]
        return {
            "seconds": list(zip(*rounds)),
            "firstLoss": losses,
            "buildSeconds": built,
            "cpuSeconds": cpu_seconds() - began,
            "peakRssMiB": peak_rss_mib(),
        }


def main():
    server = Server()
    print(json.dumps({"torch": torch.__version__, "peakRssMiB": peak_rss_mib()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(server.answer(json.loads(line))), flush=True)


main()
