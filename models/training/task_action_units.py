"""Action units on CK+: a face and, as its reference, the same person's neutral.

The set codes the peak of each sequence. Units with at least a tenth of positives are learnt; the others are too rare to
say anything about. Faces are brought to the template as at run time. A batch mixes coded faces, neutral faces of the set
(no unit), and FERPlus tiles that the annotators called neutral, taken as showing no unit either: those have no
coding and no second picture, so they are their own reference.

Without a fold, "train" is everything and "valid" is the first fold, which then says nothing but that training works.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

import align
import augment
import locate_ckplus
import prepare
import targets

FOLDS = 10
LEAST = 0.1  # share of positives a unit needs to be learnt
WORDS = {"happy": "happiness"}  # the set's words that are not the contract's
NEARLY_ALL, COMMON = 0.9, 0.5  # an expression's signature: units of nine in ten of its faces and not of half of all
PEAK = 4  # the frame that was coded, and that figures are taken on
NEUTRALS = 0.35  # neutral faces of the set, and FERPlus tiles, as shares of the coded faces
TILES = 0.35
TILE_COUNT = 3000  # FERPlus tiles to draw from
TILE_WEIGHT = 0.5
STEP = 7919  # a prime, to deal out references without a pattern
ALONE = 0.3  # share of faces that are their own reference: map dropout
REFERENCES = ("own", "none", "other")  # the person's neutral, the face itself, another person's neutral
ROTATION, SCALE, SHIFT = 12.0, 0.1, 0.06  # of face and neutral together, as in augment.py
CONTRAST, BRIGHTNESS = 0.25, 0.12
PAIR = (3.0, 0.04, 0.025)  # of the neutral alone: what two alignments differ by


def folds(subjects, count=FOLDS):
    """The fold of every row `[N]`: all rows of a subject in one, the largest subjects dealt out first."""
    names, rows = np.unique(subjects, return_counts=True)
    load, of = np.zeros(count, dtype=int), {}
    for i in np.lexsort((names, -rows)):
        least = int(load.argmin())
        of[names[i]] = least
        load[least] += rows[i]
    return np.array([of[name] for name in subjects])


def to_tile(points, template):
    """Matrices `[N, 2, 3]` that carry template coordinates to tile coordinates, both 0..1; unknown points: identity."""
    known = np.isfinite(points).all((1, 2))
    plain = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return np.array([align.similarity(template, five) if ok else plain for five, ok in zip(points, known)])


def jitter(n, gen, rotation, scale, shift):
    """Small similarities `[N, 3, 3]` about the middle of -1..1."""
    angle = augment.uniform(gen, n, -rotation, rotation) * (math.pi / 180)
    zoom = augment.uniform(gen, n, 1 - scale, 1 + scale)
    dx, dy = augment.uniform(gen, n, -2 * shift, 2 * shift), augment.uniform(gen, n, -2 * shift, 2 * shift)
    cos, sin, zero = angle.cos() / zoom, angle.sin() / zoom, torch.zeros(n)
    rows = [torch.stack([cos, -sin, dx], 1), torch.stack([sin, cos, dy], 1), torch.stack([zero, zero, zero + 1], 1)]
    return torch.stack(rows, 1)


def crop(tiles, matrices, size):
    """uint8 tiles `[N, H, W]` seen through `[N, 3, 3]` (-1..1 of the crop to -1..1 of the tile): 0..1."""
    grid = F.affine_grid(matrices[:, :2], (len(tiles), 1, size, size), align_corners=False)
    return F.grid_sample(
        tiles[:, None].float() / 255, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


class ActionUnits:
    TEMPLATE = align.FILE
    DATA_LICENSE = "research: CK+ (Lucey et al. 2010), research use; FER2013: Kaggle challenge data (Goodfellow et al. 2013), licence unknown; FERPlus labels: MIT"

    def __init__(self, split, size, data=prepare.DATA, limit=None, fold=None, reference="own"):
        if reference not in REFERENCES:
            raise ValueError(f"Cannot refer to {reference}: use {', '.join(REFERENCES)}")
        arrays, points = prepare.load("ckplus", data), locate_ckplus.load()
        self.size, self.reference = size, reference
        self.units, chosen = self.learnt(arrays)
        of_row, of_neutral = self.folds(arrays)
        inside = lambda fold_of: np.ones(len(fold_of), bool) if fold is None else fold_of != fold
        if split == "valid":
            inside = lambda fold_of: fold_of == (fold or 0)
        self.rows = np.flatnonzero(inside(of_row))[:limit]
        frames, onset = arrays["frames"], arrays["has_onset"]
        self.labels = torch.from_numpy(arrays["coded"][self.rows][:, chosen].astype(np.float32))
        self.subject = arrays["subject"][self.rows]

        template = np.array(list(align.template(self.TEMPLATE).values()))
        matrices = lambda five: centred(torch.from_numpy(to_tile(five, template)).float())
        self.faces = torch.from_numpy(frames[self.rows])
        self.face_maps = matrices(points["frames"][self.rows].reshape(-1, 5, 2)).view(-1, prepare.CK_FRAMES, 3, 3)
        self.has_apex = torch.from_numpy(arrays["has_apex"][self.rows])

        further = np.flatnonzero(inside(of_neutral))
        own = np.flatnonzero(onset[self.rows])
        self.neutral = torch.cat([self.faces[own, 0], torch.from_numpy(arrays["neutral"][further])])
        self.neutral_maps = torch.cat([self.face_maps[own, 0], matrices(points["neutral"][further])])
        self.neutral_subject = np.concatenate([self.subject[own], arrays["neutral_subject"][further]])
        self.own = np.full(len(self.rows), -1)
        self.own[own] = np.arange(len(own))
        self.relatives = [np.flatnonzero(self.neutral_subject == name) for name in self.subject]
        self.siblings = [np.flatnonzero(self.neutral_subject == name) for name in self.neutral_subject]

        fer = prepare.load("fer_train", data)
        calm = np.flatnonzero(targets.majority(fer["votes"]) == 0)[:TILE_COUNT]
        self.tiles = torch.from_numpy(fer["images"][calm])
        self.kinds = np.zeros(len(self.rows), dtype=int)
        if split == "train":
            counts = [round(len(self.rows) * share) for share in (NEUTRALS, TILES)]
            self.kinds = np.concatenate([self.kinds, np.repeat([1, 2], counts)])

    @staticmethod
    def learnt(arrays):
        """Names and columns of the units with enough positives."""
        chosen = np.flatnonzero(arrays["coded"].mean(0) >= LEAST)
        return [str(name) for name in arrays["units"][chosen]], chosen

    @classmethod
    def signatures(cls, arrays):
        """By expression, the learnt units that nearly all its faces show and less than half of all faces do."""
        units, chosen = cls.learnt(arrays)
        coded = arrays["coded"][:, chosen]
        rare = coded.mean(0) < COMMON
        found = {}
        for emotion in np.unique(arrays["emotion"]):
            own = coded[arrays["emotion"] == emotion].mean(0) >= NEARLY_ALL
            if names := [unit for unit, yes in zip(units, own & rare) if yes]:
                found[WORDS.get(str(emotion), str(emotion))] = names
        return found

    @staticmethod
    def folds(arrays):
        """The fold of every sequence, and of every further neutral frame: its subject's, or one for itself (-1)."""
        of_row = folds(arrays["subject"])
        known = dict(zip(arrays["subject"], of_row))
        return of_row, np.array([known.get(name, -1) for name in arrays["neutral_subject"]])

    def __len__(self):
        return len(self.kinds)

    def batch(self, index, gen=None):
        """Face and reference as planes `[B, 2, size, size]` in -1..1; augmented when a generator is given.

        Without a generator: the coded frame and its own onset, another neutral of the person where that is missing, the
        face itself where there is none.
        """
        return self.pairs(index.tolist()) if gen is None else self.augmented(index.tolist(), gen)

    def pairs(self, rows, reference=None):
        """Coded faces `[B, 2, size, size]` as they are, with their references."""
        face = crop(self.faces[rows, PEAK], self.face_maps[rows, PEAK], self.size)
        return self.beside(face, [self.standing(row, reference or self.reference) for row in rows])

    def calm(self, reference=None):
        """All neutral faces, each beside another neutral of the person, or of somebody else, or none."""
        face = crop(self.neutral, self.neutral_maps, self.size)
        chosen = []
        for i, name in enumerate(self.neutral_subject):
            if (reference or self.reference) == "own":
                others = self.siblings[i][self.siblings[i] != i]
            else:
                others = self.strangers(name) if (reference or self.reference) == "other" else []
            chosen.append(others[i * STEP % len(others)] if len(others) else -1)
        return self.beside(face, chosen)

    def beside(self, face, chosen):
        """Faces and the neutral frames chosen for them, the face itself for -1."""
        at = [max(0, int(i)) for i in chosen]
        neutral = crop(self.neutral[at], self.neutral_maps[at], self.size)
        alone = torch.tensor([i < 0 for i in chosen]).view(-1, 1, 1, 1)
        return augment.normalise(torch.cat([face, torch.where(alone, face, neutral)], 1))

    def standing(self, row, reference):
        """The neutral frame that serves a sequence in figures, -1 for none."""
        if reference == "other":
            strangers = self.strangers(self.subject[row])
            return strangers[row * STEP % len(strangers)]
        if reference == "none":
            return -1
        return self.own[row] if self.own[row] >= 0 else next(iter(self.relatives[row]), -1)

    def strangers(self, name):
        return np.flatnonzero(self.neutral_subject != name)

    def augmented(self, items, gen):
        pick = lambda values: values[int(torch.randint(len(values), (), generator=gen))]
        faces, neutrals, face_maps, neutral_maps, alone = [], [], [], [], []
        for item in items:
            kind = self.kinds[item]
            if kind == 0:
                frame = pick([1, 2, 3, 4] if self.has_apex[item] else [2, 3, 4])
                face, face_map, others = self.faces[item, frame], self.face_maps[item, frame], self.relatives[item]
            elif kind == 1:
                at = int(torch.randint(len(self.neutral), (), generator=gen))
                face, face_map, others = self.neutral[at], self.neutral_maps[at], self.siblings[at]
            else:
                face, face_map, others = pick(self.tiles), torch.eye(3), []
            if self.reference == "other" and kind < 2:
                others = self.strangers(self.subject[item] if kind == 0 else self.neutral_subject[at])
            solo = self.reference == "none" or torch.rand((), generator=gen).item() < ALONE
            chosen = pick(others) if len(others) else None
            faces.append(face)
            face_maps.append(face_map)
            neutrals.append(face if chosen is None else self.neutral[chosen])
            neutral_maps.append(face_map if chosen is None else self.neutral_maps[chosen])
            alone.append(solo)
        n = len(items)
        both = jitter(n, gen, ROTATION, SCALE, SHIFT)
        flip = torch.where(torch.rand(n, generator=gen) < 0.5, -1.0, 1.0)
        both = both @ torch.diag_embed(torch.stack([flip, torch.ones(n), torch.ones(n)], 1))
        apart = jitter(n, gen, *PAIR)
        face = crop(torch.stack(faces), torch.stack(face_maps) @ both, self.size)
        neutral = crop(torch.stack(neutrals), torch.stack(neutral_maps) @ both @ apart, self.size)
        face, neutral = (augment.photometric(images, gen, CONTRAST, BRIGHTNESS, erase=0) for images in (face, neutral))
        neutral = torch.where(torch.tensor(alone).view(-1, 1, 1, 1), face, neutral)
        return augment.normalise(torch.cat([face, neutral], 1))

    def loss(self, logits, index):
        """Binary cross-entropy; rare units weigh more, FERPlus tiles less."""
        positive = self.labels.mean(0)
        weight = ((1 - positive) / positive).sqrt().clamp(1, 10)
        kinds = torch.from_numpy(self.kinds)[index]
        wanted = torch.zeros_like(logits)
        wanted[kinds == 0] = self.labels[index[kinds == 0]]
        each = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight, reduction="none").mean(1)
        share = torch.where(kinds == 2, TILE_WEIGHT, 1.0)
        return (each * share).sum() / share.sum()

    def metrics(self, logits):
        hits = (logits > 0).float()
        both = (hits * self.labels).sum(0)
        f1 = 2 * both / (hits.sum(0) + self.labels.sum(0)).clamp(min=1)
        return {"macroF1": f1.mean().item()}

    @staticmethod
    def predict(outputs):
        return outputs


def centred(matrices):
    """Similarities `[N, 2, 3]` in 0..1 as `[N, 3, 3]` in -1..1."""
    linear, shift = matrices[:, :, :2], matrices[:, :, 2:]
    ones = torch.ones(2, 1)
    top = torch.cat([linear, linear @ ones + 2 * shift - 1], 2)
    bottom = torch.tensor([0.0, 0.0, 1.0]).expand(len(matrices), 1, 3)
    return torch.cat([top, bottom], 1)
