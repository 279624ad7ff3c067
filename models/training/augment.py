"""Augmentation in tensors: one warp from the stored tile straight to the network's input.

Every number drawn comes from a generator seeded by (seed, step), so a resumed run sees exactly
the pictures an unbroken one would have seen.
"""

import math

import torch
import torch.nn.functional as F

# Jitter of the crop at run time is the detector's and the landmark net's error;
# the ranges below cover it with room (see measure_template.py for the measurement).
ROTATION = 15.0  # degrees, uniform in +-
SCALE = 0.12  # uniform in 1 +- SCALE
SHIFT = 0.08  # share of the tile, uniform in +-
CONTRAST = 0.3
BRIGHTNESS = 0.2
ERASE = 0.4  # probability of one erased rectangle
VIEWS = [
    (zoom, mirrored) for zoom in (1.0, 1.1, 1 / 1.1) for mirrored in (False, True)
]  # of a picture, for its teachers


def generator(*numbers):
    """A torch generator seeded by a few integers (a cheap, stable mix)."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + int(number) + 0x9E3779B9) % (2**63)
    return torch.Generator().manual_seed(seed)


def uniform(gen, n, low, high):
    return torch.rand(n, generator=gen) * (high - low) + low


def view(images, zoom, mirrored):
    """Images `[B, 1, H, H]` nearer by `zoom`, and mirrored where asked."""
    still, one = images.new_zeros(len(images)), images.new_ones(len(images))
    return resample(images, images.shape[2], still, zoom * one, -one if mirrored else one, still, still)


def plain(tiles, size):
    """uint8 `[B, H, W]` -> float `[B, 1, size, size]` in 0..1: bilinear, half-pixel centres."""
    return F.interpolate(tiles[:, None].float() / 255, (size, size), mode="bilinear", align_corners=False)


def warp(tiles, size, gen, rotation=ROTATION, scale=SCALE, shift=SHIFT):
    """Random flip, rotation, scale and shift: uint8 `[B, H, W]` -> `[B, 1, size, size]` in 0..1."""
    n = len(tiles)
    angle = uniform(gen, n, -rotation, rotation) * (math.pi / 180)
    zoom = uniform(gen, n, 1 - scale, 1 + scale)
    flip = torch.where(torch.rand(n, generator=gen) < 0.5, -1.0, 1.0)
    dx, dy = uniform(gen, n, -2 * shift, 2 * shift), uniform(gen, n, -2 * shift, 2 * shift)
    return resample(tiles[:, None].float() / 255, size, angle, zoom, flip, dx, dy)


def resample(images, size, angle, zoom, flip, dx, dy):
    """Images turned by `angle` (radians), enlarged by `zoom`, mirrored where `flip` is -1, shifted (2 = the whole side).

    `[B, 1, H, W]` of any range -> `[B, 1, size, size]`, bilinear; parameters are `[B]`.
    """
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    theta = torch.stack([torch.stack([cos * flip, -sin, dx], 1), torch.stack([sin * flip, cos, dy], 1)], 1)
    grid = F.affine_grid(theta, (len(images), 1, size, size), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def photometric(images, gen, contrast=CONTRAST, brightness=BRIGHTNESS, erase=ERASE):
    """Contrast about the mean, brightness, and one erased rectangle, in 0..1."""
    n, _, h, w = images.shape
    mean = images.mean((1, 2, 3), keepdim=True)
    gain = uniform(gen, n, 1 - contrast, 1 + contrast).view(n, 1, 1, 1)
    offset = uniform(gen, n, -brightness, brightness).view(n, 1, 1, 1)
    images = ((images - mean) * gain + mean + offset).clamp(0, 1)
    on = torch.rand(n, generator=gen) < erase
    eh, ew = uniform(gen, n, 0.1, 0.4) * h, uniform(gen, n, 0.1, 0.4) * w
    y0, x0 = torch.rand(n, generator=gen) * (h - eh), torch.rand(n, generator=gen) * (w - ew)
    fill = torch.rand(n, generator=gen).view(n, 1, 1, 1)
    ys, xs = torch.arange(h).view(1, h, 1), torch.arange(w).view(1, 1, w)
    box = (
        (ys >= y0.view(n, 1, 1))
        & (ys < (y0 + eh).view(n, 1, 1))
        & (xs >= x0.view(n, 1, 1))
        & (xs < (x0 + ew).view(n, 1, 1))
    )
    return torch.where((box & on.view(n, 1, 1))[:, None], fill, images)


def normalise(images):
    """0..1 -> -1..1, the mean 0.5 and std 0.5 of every manifest entry trained here."""
    return (images - 0.5) / 0.5
