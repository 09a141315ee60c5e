"""Maps (B, h, w) in float32 and the losses on them, as the paper describes them, with the formulas of src/cam and src/losses."""

import functools

import torch
import torch.nn.functional as F


def grad_cam(scores, activations, labels, create_graph=True):
    """Grad-CAM of the whole batch by one vector-Jacobian product, with its graph."""
    chosen = scores.gather(1, labels.unsqueeze(1)).sum()
    [gradient] = torch.autograd.grad(chosen, activations, create_graph=create_graph, retain_graph=True)
    return weighted(gradient.float(), activations.float())


def weighted(gradient, activations):
    return torch.einsum("bk,bkhw->bhw", gradient.mean((2, 3)), activations).relu()


def normalised(maps, size, eps=1e-2):
    """Maps resized to the image and scaled to [0, 1]."""
    resized = F.interpolate(maps.unsqueeze(1), size, mode="bilinear", align_corners=False).squeeze(1)
    lowest = resized.amin((1, 2), keepdim=True)
    return (resized - lowest) / (resized.amax((1, 2), keepdim=True) - lowest + eps)


def l1(x, y):
    return F.l1_loss(x, y)


def l2(x, y):
    return F.mse_loss(x, y)


@functools.cache
def gaussian(side=11, sigma=1.5):
    taps = torch.exp(-((torch.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    return taps / taps.sum()


def smoothed(planes):
    """A separable convolution of all planes (N, H, W) as channels of one image, which is ten times as fast as N images of one channel."""
    count, taps = len(planes), gaussian()
    along_rows = taps.view(1, 1, 1, -1).expand(count, 1, 1, -1)
    rows = F.conv2d(planes.unsqueeze(0), along_rows, groups=count)
    return F.conv2d(rows, along_rows.transpose(2, 3), groups=count).squeeze(0)


def ssim_distance(x, y):
    mean_x, mean_y, squares, product = smoothed(torch.cat([x, y, x * x + y * y, x * y])).chunk(4)
    c1, c2 = 0.01**2, 0.03**2
    cross, power = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    similarity = (2 * cross + c1) / (power + c1) * ((2 * (product - cross) + c2) / (squares - power + c2))
    return 1 - similarity.mean()


DISTANCES = {"l1": l1, "l2": l2, "ssim": ssim_distance}


def prototype_loss(maps, labels, prototypes, distance):
    """The mean distance of each map from the prototype of its class."""
    return DISTANCES[distance](maps, prototypes[labels])


def batch_cam_loss(maps, labels, prototypes, distance):
    """The distance of each class's mean map in the batch from its prototype, averaged over the classes present."""
    classes, rows = labels.unique(return_inverse=True)
    members = F.one_hot(rows, len(classes)).to(maps.dtype)
    means = (members / members.sum(0)).t() @ maps.flatten(1)
    return DISTANCES[distance](means.view(-1, *prototypes.shape[-2:]), prototypes[classes])


LOSSES = {"prototype": prototype_loss, "batch-cam": batch_cam_loss}
