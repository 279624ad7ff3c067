"""What our net's weights do on valid at other input sizes, and with the mirror image averaged in.

    python views.py                                  # the shipped weights
    python views.py runs/taught/state.pt             # a run's averaged ones

Prints a table in Markdown: accuracy of both heads. Neither the smaller inputs nor the mirror image are served: the table
tells what they would cost or bring.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

import augment
import card
import manifest
import mien_net
import prepare
import task_expression
import weights

SIZES = [48, 44, 40, 36]
SHIPPED = manifest.MODELS / "expression_mien" / weights.NAME


@torch.no_grad()
def logits(net, tiles, size, batch=256):
    """Logits `[2, N, 15]`: of the tiles, shrunk to `size` with antialiasing, and of their mirror images."""
    parts = []
    for some in tiles.split(batch):
        images = F.interpolate(some[:, None] / 255, (size, size), mode="bilinear", antialias=True, align_corners=False)
        images = augment.normalise(images)
        parts.append(torch.stack([net(view).mean((2, 3)) for view in (images, images.flip(3))]))
    return torch.cat(parts, 1)


def main(args):
    task = task_expression.Expression("valid", mien_net.SIZE, args.data)
    state, rows = weights.load(args.weights), []
    for size in SIZES:
        net = mien_net.MienNet(size=size).eval()
        net.load_state_dict(state)
        views = logits(net, task.images.float(), size)
        for name, given in (("one view", views[0]), ("and its mirror image", views.mean(0))):
            figures = task.metrics(given)
            rows.append([size, name, *(card.percent(figures[head]) for head in ("ferplus", "fer2013"))])
    print(card.table(["side", "view", "FERPlus", "FER2013"], rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", type=Path, default=SHIPPED)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
