"""The square face crop, the same at training and at run time.

Centre = centre of the detector's box, side = 1.2 x its longer side, turned by the roll of the eyes,
sampled bilinearly to the network's size; outside the image is black. Coordinates are continuous
pixels (the first pixel's centre is 0.5); a crop's own coordinates are 0..1; rolls are radians,
positive where the subject's left eye is lower in the picture.

Five points, in this order: right eye, left eye (the subject's), nose tip, right and left mouth corner.
"""

import torch
import torch.nn.functional as F

POINTS = ["rightEye", "leftEye", "noseTip", "rightMouthCorner", "leftMouthCorner"]
MIRROR = [1, 0, 2, 4, 3]
SCALE = 1.2
# The crop that YuNet's box gives, told from the points instead: medians over the labelled wild pictures.
FOLLOW_SCALE = 3.15
FOLLOW_UP = 0.11
LUMA = (0.299, 0.587, 0.114)


def square(boxes, scale=SCALE):
    """Boxes `[N, 4]` (x, y, width, height) -> centres `[N, 2]` and sides `[N]`."""
    return boxes[:, :2] + boxes[:, 2:] / 2, scale * boxes[:, 2:].amax(1)


def roll(points):
    """Angle of the line from right to left eye, points `[N, 5, 2]` -> `[N]`."""
    x, y = (points[:, 1] - points[:, 0]).unbind(1)
    return torch.atan2(y, x)


def follow(points):
    """Centre, side and roll of the next crop from the last points: for a second pass and between frames.

    With e and m the middles of the eyes and of the mouth corners and d the larger of the inter-ocular distance
    and |m - e|: side = FOLLOW_SCALE d, centre = (e + m) / 2 moved by FOLLOW_UP d towards the forehead.
    """
    angle, (right, left, _, mouth_right, mouth_left) = roll(points), points.unbind(1)
    eyes, mouth = (right + left) / 2, (mouth_right + mouth_left) / 2
    size = torch.maximum((left - right).norm(dim=1), (mouth - eyes).norm(dim=1))
    up = torch.stack([angle.sin(), -angle.cos()], 1)
    return (eyes + mouth) / 2 + FOLLOW_UP * size[:, None] * up, FOLLOW_SCALE * size, angle


def rotation(angle):
    """Matrices `[N, 2, 2]` turning a crop's axes into the image's."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)


def to_crop(points, centre, side, angle):
    """Image pixels `[N, P, 2]` -> 0..1 of the crop."""
    return (points - centre[:, None]) @ rotation(angle) / side.view(-1, 1, 1) + 0.5


def to_image(points, centre, side, angle):
    """0..1 of the crop `[N, P, 2]` -> image pixels."""
    return (points - 0.5) * side.view(-1, 1, 1) @ rotation(angle).mT + centre[:, None]


def sample(images, centre, side, angle, size, padding="zeros"):
    """Crops `[N, C, size, size]` of images `[N, C, H, W]`."""
    height, width = images.shape[2:]
    unit = (torch.arange(size) + 0.5) / size - 0.5
    along, across = (side * angle.cos())[:, None] * unit, (side * angle.sin())[:, None] * unit
    x = centre[:, 0, None, None] + along[:, None] - across[:, :, None]
    y = centre[:, 1, None, None] + across[:, None] + along[:, :, None]
    grid = torch.stack([x * (2 / width) - 1, y * (2 / height) - 1], 3)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def gray(images):
    """uint8 `[N, H, W, 3]` -> `[N, H, W]` by the luma that the runtime uses."""
    return (images.float() @ torch.tensor(LUMA)).round().to(torch.uint8)
