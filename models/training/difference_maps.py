"""Where a face differs from its neutral: the image processing of CEDNN, without weights, inside the graph.

Both pictures are blurred and brought to one brightness and contrast; the neutral is shifted by whole and half pixels to
where it fits best; five thresholds on the absolute difference give five nested binary maps. The signed difference is
kept beside them. A face that is its own neutral gives zeros everywhere, exactly.
"""

import torch
from torch import nn

# In standard deviations of the face's own brightness (see cards/action_units_cednn.md).
THRESHOLDS = (0.3, 0.5, 0.75, 1.0, 1.4)
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
REACH = 3.0  # pixels, the largest shift tried along each axis, in steps of half a pixel
MARGIN = 4  # pixels at each edge that count for nothing
RELUCTANCE = 1e-3  # added to the mean square per squared pixel of shift: without reason nothing moves
FLAT = 2 / 255  # least standard deviation divided by: a picture without contrast has no differences


def shift_matrix(size, by):
    """`[size, size]`, resampling rows so that row y of the result is row y + by, linear; edges repeated."""
    at = (torch.arange(size) + by).clamp(0, size - 1)
    low = at.floor().long().clamp(max=size - 2)
    share = at - low
    matrix = torch.zeros(size, size)
    rows = torch.arange(size)
    matrix[rows, low] += 1 - share
    matrix[rows, low + 1] += share
    return matrix


class DifferenceMaps(nn.Module):
    """Face and neutral `[B, 1, S, S]` -> binary maps `[B, 5, S, S]` and the signed difference `[B, 1, S, S]`."""

    def __init__(self, size, thresholds=THRESHOLDS, reach=REACH):
        super().__init__()
        shift = lambda by: shift_matrix(size, by)
        inside = torch.zeros(size)
        inside[MARGIN : size - MARGIN] = 1
        steps = torch.arange(-reach, reach + 0.25, 0.5)
        whole = torch.arange(-int(reach), int(reach) + 1)
        weights = torch.tensor(BINOMIAL) / sum(BINOMIAL)
        constants = {
            "blur": sum(weight * shift(by) for weight, by in zip(weights, range(-2, 3))),
            "inside": torch.outer(inside, inside)[None, None],
            "thresholds": torch.tensor(thresholds).view(1, -1, 1, 1),
            "shifts": torch.stack([shift(by) for by in steps.tolist()]),
            "coarse": torch.stack([shift(by)[::2] for by in whole.tolist()]),  # every second pixel will do
            "cost": (RELUCTANCE * (whole[:, None] ** 2 + whole[None] ** 2)).flatten()[None].float(),
            "near": torch.tensor([[y, x] for y in (0, -1, 1) for x in (0, -1, 1)]),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)
        self.side, self.reach, self.area = len(whole), int(reach), inside.sum().item() ** 2

    def standardise(self, image):
        """Blurred, then zero mean and unit deviation over what lies inside the margin."""
        image = self.blur @ image @ self.blur.T
        mean = (image * self.inside).sum((2, 3), keepdim=True) / self.area
        centred = image - mean
        variance = (centred**2 * self.inside).sum((2, 3), keepdim=True) / self.area
        return centred / variance.sqrt().clamp(min=FLAT)

    def moved(self, image, row, column):
        """Every picture `[B, 1, S, S]` shifted by the steps of index `row` and `column` `[B]`."""
        return self.shifts[row][:, None] @ image @ self.shifts[column][:, None].transpose(2, 3)

    def mismatch(self, face, other):
        return ((face - other) ** 2 * self.inside).sum((1, 2, 3)) / self.area

    def register(self, face, neutral):
        """The neutral where it fits best: first by whole pixels over the reach, then by half ones around there."""
        r = self.reach
        tried = (self.coarse @ neutral)[:, :, None] @ self.coarse.transpose(1, 2)  # [B, side, side, S / 2, S / 2]
        inside = self.inside[:, :, ::2, ::2]
        misfit = (tried - face[:, :, None, ::2, ::2]) ** 2 * inside[:, :, None]
        fit = (misfit.sum((3, 4)) / inside.sum()).flatten(1) + self.cost
        best = fit.argmin(1)
        row, column = 2 * torch.div(best, self.side, rounding_mode="floor"), 2 * (best % self.side)
        last = 4 * r
        rows = (row[:, None] + self.near[:, 0]).clamp(0, last)
        columns = (column[:, None] + self.near[:, 1]).clamp(0, last)
        fits = torch.stack(
            [self.mismatch(face, self.moved(neutral, rows[:, i], columns[:, i])) for i in range(len(self.near))], 1
        )
        finest = fits.argmin(1, keepdim=True)
        return self.moved(neutral, rows.gather(1, finest)[:, 0], columns.gather(1, finest)[:, 0])

    def forward(self, face, neutral):
        face, neutral = self.standardise(face), self.standardise(neutral)
        difference = (face - self.register(face, neutral)) * self.inside
        return (difference.abs() > self.thresholds).to(face.dtype), difference
