"""Computes maps inside a training step by other libraries, as their documentation shows, and by a loop over the images."""

import torch

from guidance import grad_cam


def viewed_by_pytorch_grad_cam(step):
    """Computes the maps after the step's own update, in a separate forward pass; in float32, because it does not support bfloat16."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(label) for label in step.labels.tolist()]

    def view():
        step.model.eval()
        with GradCAM(model=step.model, target_layers=[step.layer]) as cam:
            cam(input_tensor=step.images, targets=targets)
        step.model.train()

    return step.plain, view


def viewed_by_torch_cam(step):
    """Computes the maps from the step's own forward pass."""
    import torchcam.methods

    labels = step.labels.tolist()

    def loss():
        with torchcam.methods.GradCAM(step.model, step.layer) as extractor:
            scores = step.scores(step.model)
            extractor(labels, scores, retain_graph=True)
        return step.cross_entropy(scores)

    return loss, None


def guided_by_captum(step):
    """Computes maps with their graph, in a separate forward pass."""
    from captum.attr import LayerGradCam

    cam = LayerGradCam(step.model, step.layer)

    def maps():
        with step.autocast():
            found = cam.attribute(
                step.images, target=step.labels, relu_attributions=True, grad_kwargs={"create_graph": True}
            )
        return found.squeeze(1).float()

    return lambda: step.plain() + step.guidance(maps()), None


def guided_by_loop(step):
    """Computes each map by its own forward pass and gradient, as a hook on the layer does."""

    def maps():
        found = []
        for image, label in zip(step.images.split(1), step.labels.split(1)):
            with step.autocast():
                activations = step.trunk(image)
                scores = step.head(activations)
            found.append(grad_cam(scores.float(), activations, label))
        return torch.cat(found)

    return lambda: step.plain() + step.guidance(maps()), None


LOOPS = {
    "pytorch-grad-cam": viewed_by_pytorch_grad_cam,
    "torch-cam": viewed_by_torch_cam,
    "captum": guided_by_captum,
    "per-image": guided_by_loop,
}
