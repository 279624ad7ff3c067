"""Five points and presence on detector-like crops; labels by label_landmarks.py.

A positive is a face cropped as at run time (crops.py) with the errors the detector makes: wrong
roll (up to 60 degrees), wrong size, wrong place. A negative is no face, or a crop that
misses its face. Every WILD_STEP-th wild picture is held out of training.
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import augment
import crops
import label_landmarks
import prepare

TILE = 96  # all tiles are kept at this size
WILD_STEP = 64
NEGATIVE = 0.2  # share of a batch
ROTATION = 60.0  # degrees, uniform in +- for the share TURNED of the faces, a normal of 10 for the others
TURNED = 0.3
POINT_WEIGHT = 50.0


def held_out(n):
    """Which wild pictures stay out of training, bool `[N]`."""
    return np.arange(n) % WILD_STEP == 0


def faces(split, data, limit):
    """Tiles uint8 `[N, 96, 96]`, points `[N, 5, 2]` and boxes `[N, 4]` in tile pixels, wild pictures last."""
    parts = []
    for name in (f"fer_{split}", "wild"):
        labels, tiles = label_landmarks.load(name), torch.from_numpy(prepare.load(name, data)["images"])
        keep = labels["keep"].copy()
        if name == "wild":
            tiles = crops.gray(tiles)
            keep &= held_out(len(keep)) == (split == "valid")
        at = torch.from_numpy(np.flatnonzero(keep)[:limit])
        tiles = F.interpolate(tiles[at][:, None].float(), (TILE, TILE), mode="bilinear", align_corners=False)
        boxes, points = torch.from_numpy(labels["boxes"])[at], torch.from_numpy(labels["points"])[at]
        found = torch.from_numpy(labels["found"])[at]
        boxes = torch.where(found[:, None], boxes, box_from_points(points, points[found], boxes[found]))
        parts.append((tiles[:, 0].round().to(torch.uint8), points * TILE, boxes * TILE))
    return [torch.cat(part) for part in zip(*parts)]


def box_from_points(points, known_points, known_boxes):
    """The box YuNet would give, by least squares on the tiles where it gave one."""
    ones = torch.ones(len(known_points), 1)
    fit = torch.linalg.lstsq(torch.cat([known_points.flatten(1), ones], 1), known_boxes).solution
    return torch.cat([points.flatten(1), torch.ones(len(points), 1)], 1) @ fit


class Landmarks:
    def __init__(self, split, size, data=prepare.DATA, limit=None):
        self.size = size
        self.tiles, self.points, self.boxes = faces(split, data, limit)
        photo = Image.open(data / "photos" / "coffee.png").convert("RGB")
        self.texture = crops.gray(torch.from_numpy(np.array(photo))[None])[:, None].float() / 255
        self.targets = None

    def __len__(self):
        return len(self.tiles)

    def batch(self, index, gen=None):
        """Inputs `[B, 1, size, size]` in -1..1; the targets of the crops drawn are kept for `loss`.

        Without a generator: the plain upright crop of the box, every one a face.
        """
        tiles, points = self.tiles[index][:, None].float() / 255, self.points[index]
        centre, side = crops.square(self.boxes[index])
        angle = crops.roll(points)
        if gen is None:
            self.targets = crops.to_crop(points, centre, side, angle), torch.ones(len(index))
            return augment.normalise(crops.sample(tiles, centre, side, angle, self.size))
        n = len(index)
        count = int(n * NEGATIVE)
        centre, side, angle = jitter(centre, side, angle, gen)
        centre[:count], side[:count] = miss(centre[:count], side[:count], gen)
        images = padded(tiles, centre, side, angle, self.size, self.texture, gen)
        third = count // 3
        images[:third] = texture(self.texture, third, self.size, gen)
        images[third : 2 * third] = noise(third, self.size, gen)
        mirror = torch.rand(n, generator=gen) < 0.5
        images = torch.where(mirror.view(n, 1, 1, 1), images.flip(3), images)
        points = mirrored(crops.to_crop(points, centre, side, angle), mirror)
        self.targets = points, (torch.arange(n) >= count).float()
        return augment.normalise(degrade(augment.photometric(images, gen, contrast=0.4, erase=0.2), gen))

    def loss(self, outputs, index):
        points, presence = outputs
        expected, face = self.targets
        each = F.smooth_l1_loss(points, expected.flatten(1), beta=0.004, reduction="none").mean(1)
        return POINT_WEIGHT * (each * face).sum() / face.sum() + F.binary_cross_entropy_with_logits(
            presence[:, 0], face
        )

    def metrics(self, outputs):
        """Mean error by inter-ocular distance on FER and wild together, and the share seen as faces, from `[N, 11]`."""
        centre, side = crops.square(self.boxes)
        expected = crops.to_crop(self.points, centre, side, crops.roll(self.points))
        nme = error(outputs[:, :10].view(-1, 5, 2), expected).mean()
        return {"nme": nme.item(), "seen": (outputs[:, 10] > 0).float().mean().item()}

    @staticmethod
    def predict(outputs):
        return torch.cat(outputs, 1)


def error(points, expected):
    """Mean distance of five points as a share of the inter-ocular distance, `[N]`."""
    iod = (expected[:, 0] - expected[:, 1]).norm(dim=1)
    return (points - expected).norm(dim=2).mean(1) / iod


def mirrored(points, on):
    """Points `[N, 5, 2]` in 0..1 of crops that were mirrored where `on`."""
    other = points[:, crops.MIRROR] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    return torch.where(on.view(-1, 1, 1), other, points)


def jitter(centre, side, angle, gen):
    """The detector's errors: place by a tenth of the side, size, and roll."""
    n = len(side)
    turned = torch.rand(n, generator=gen) < TURNED
    wide = augment.uniform(gen, n, -ROTATION, ROTATION)
    narrow = torch.randn(n, generator=gen) * 10
    angle = angle + torch.where(turned, wide, narrow) * (torch.pi / 180)
    shift = (torch.randn(n, 2, generator=gen) * 0.05).clamp(-0.15, 0.15) * side[:, None]
    return centre + shift, side * augment.uniform(gen, n, 0.85, 1.2), angle


def miss(centre, side, gen):
    """Crops that miss their face: far beside it, or a small part of it."""
    n = len(side)
    way = augment.uniform(gen, n, 0, 2 * torch.pi)
    away = torch.stack([way.cos(), way.sin()], 1) * (side * augment.uniform(gen, n, 0.55, 1.0))[:, None]
    part = torch.rand(n, generator=gen) < 0.4
    shift = torch.where(part[:, None], away * 0.4, away)
    return centre + shift, torch.where(part, side * augment.uniform(gen, n, 0.15, 0.35), side)


def padded(tiles, centre, side, angle, size, photo, gen):
    """Crops of tiles; what lies outside is black, the tile mirrored, one gray, or a piece of a photo, a quarter each."""
    n = len(tiles)
    kind = torch.randint(4, (n,), generator=gen)
    images, inside = crops.sample(torch.cat([tiles, torch.ones_like(tiles)], 1), centre, side, angle, size).split(1, 1)
    outside = torch.zeros_like(images)
    outside[kind == 2] = torch.rand(n, 1, 1, 1, generator=gen)[kind == 2]
    outside[kind == 3] = texture(photo, int((kind == 3).sum()), size, gen)
    images = images + (1 - inside) * outside
    at = kind == 1
    images[at] = crops.sample(tiles[at], centre[at], side[at], angle[at], size, "reflection")
    return images


def texture(photo, n, size, gen):
    """Pieces of the faceless photo `[1, 1, H, W]` at any size and turn."""
    height, width = photo.shape[2:]
    at = torch.rand(n, 2, generator=gen) * torch.tensor([float(width), float(height)])
    side = torch.exp(augment.uniform(gen, n, 3.0, 6.2))
    return crops.sample(photo.expand(n, -1, -1, -1), at, side, augment.uniform(gen, n, -3.1, 3.1), size, "reflection")


def noise(n, size, gen):
    """Smooth noise, from flat gray to fine grain."""
    cells = int(2 ** augment.uniform(gen, 1, 0, 6))
    coarse = torch.randn(n, 1, cells, cells, generator=gen) * augment.uniform(gen, n, 0, 0.4).view(n, 1, 1, 1)
    level = torch.rand(n, 1, 1, 1, generator=gen)
    return (F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False) + level).clamp(0, 1)


def degrade(images, gen):
    """Coarse resolution for a quarter of the batch, gamma and grain for all, in 0..1."""
    n, _, height, width = images.shape
    coarse = int(augment.uniform(gen, 1, 16, 48))
    part = torch.randperm(n, generator=gen)[: n // 4]
    small = F.interpolate(images[part], (coarse, coarse), mode="bilinear", antialias=True, align_corners=False)
    images[part] = F.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    gamma = torch.exp(augment.uniform(gen, n, -0.4, 0.4)).view(n, 1, 1, 1)
    grain = torch.randn(images.shape, generator=gen) * augment.uniform(gen, n, 0, 0.035).view(n, 1, 1, 1)
    return (images.clamp(1e-4, 1) ** gamma + grain).clamp(0, 1)
