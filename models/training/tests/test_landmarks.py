"""The landmark net, its crops, its augmentation and YuNet's decoding, on data made here."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import augment
import crops
import export_landmarks
import label_landmarks
import landmark_net
import landmarks
import measure_template
import task_landmarks
import yunet

FACE = torch.tensor([[[30.0, 38.0], [62.0, 36.0], [47.0, 52.0], [34.0, 68.0], [60.0, 66.0]]])
BOX = torch.tensor([[20.0, 15.0, 54.0, 66.0]])


def dots(points, size=96):
    """An image `[1, 1, size, size]` that is bright at each of five points."""
    centre = torch.arange(size) + 0.5
    x, y = centre.view(1, -1), centre.view(-1, 1)
    image = sum(torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in points[0])
    return image.clamp(0, 1)[None, None]


def brightness_at(image, points):
    """Bilinear samples of a crop `[1, 1, S, S]` at points `[1, 5, 2]` in 0..1 of it."""
    return torch.nn.functional.grid_sample(image, points[:, None] * 2 - 1, align_corners=False)[0, 0, 0]


@pytest.fixture
def task():
    made = object.__new__(task_landmarks.Landmarks)
    n = 40
    made.size = 64
    made.tiles = (dots(FACE)[0] * 255).to(torch.uint8).repeat(n, 1, 1)
    made.points, made.boxes = FACE.repeat(n, 1, 1), BOX.repeat(n, 1)
    made.texture = torch.rand(1, 1, 60, 80, generator=augment.generator(5))
    return made


def test_net_is_small_and_its_shapes_hold():
    net = landmark_net.build().eval()
    assert sum(p.numel() for p in net.parameters()) < 100_000
    for n in (1, 3):
        points, presence = net(torch.zeros(n, 1, 64, 64))
        assert points.shape == (n, 10) and presence.shape == (n, 1)


def test_every_gradient_reaches(task):
    net = landmark_net.build()
    index = torch.arange(20)
    task.loss(net(task.batch(index, augment.generator(1))), index).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_export_keeps_numbers_and_batch(tmp_path):
    net = landmark_net.build().eval()
    with torch.no_grad():
        for _ in range(3):
            net.train()(torch.randn(16, 1, 64, 64))
    model = export_landmarks.export(net, tmp_path / "net.onnx")
    differences = export_landmarks.check(net, tmp_path / "net.onnx")
    assert max(differences.values()) <= export_landmarks.TOLERANCE
    assert [o.name for o in model.graph.output] == ["points", "presence"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_crop_contract():
    centre, side = crops.square(torch.tensor([[10.0, 20.0, 30.0, 50.0]]))
    assert centre.tolist() == [[25.0, 45.0]]
    assert side.item() == pytest.approx(60.0)
    assert crops.roll(torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0, 0], [0, 0], [0, 0]]])).item() == pytest.approx(
        math.pi / 4
    )
    # A crop of the whole image at its own size is the image; outside is black.
    image = torch.rand(1, 1, 64, 64)
    whole = crops.sample(image, torch.tensor([[32.0, 32.0]]), torch.tensor([64.0]), torch.zeros(1), 64)
    assert torch.allclose(whole, image, atol=1e-5)
    beyond = crops.sample(image, torch.tensor([[64.0, 32.0]]), torch.tensor([64.0]), torch.zeros(1), 64)
    assert torch.allclose(beyond[..., :31], image[..., 32:63], atol=1e-5) and (beyond[..., 33:] == 0).all()


def test_gray_is_the_runtime_luma():
    assert crops.gray(torch.tensor([[[[200, 100, 50]]]], dtype=torch.uint8)).item() == round(
        0.299 * 200 + 0.587 * 100 + 0.114 * 50
    )


@pytest.mark.parametrize("degrees", [0, 25, -60, 170])
def test_points_follow_the_crop_and_come_back(degrees):
    centre, side = crops.square(BOX)
    angle = torch.tensor([math.radians(degrees)])
    inside = crops.to_crop(FACE, centre, side, angle)
    image = crops.sample(dots(FACE), centre, side, angle, 64)
    assert brightness_at(image, inside).min() > 0.8
    assert torch.allclose(crops.to_image(inside, centre, side, angle), FACE, atol=1e-4)


def test_upright_crop_levels_the_eyes():
    centre, side = crops.square(BOX)
    inside = crops.to_crop(FACE, centre, side, crops.roll(FACE))
    assert inside[0, 0, 1].item() == pytest.approx(inside[0, 1, 1].item(), abs=1e-5)
    assert inside[0, 0, 0] < inside[0, 1, 0]


def test_mirror_swaps_the_sides():
    centre, side = crops.square(BOX)
    inside = crops.to_crop(FACE, centre, side, torch.zeros(1))
    image = crops.sample(dots(FACE), centre, side, torch.zeros(1), 64).flip(3)
    flipped = task_landmarks.mirrored(inside, torch.tensor([True]))
    assert flipped[0, 0, 0] < flipped[0, 1, 0] and flipped[0, 3, 0] < flipped[0, 4, 0]
    assert brightness_at(image, flipped).min() > 0.8
    assert torch.equal(task_landmarks.mirrored(inside, torch.tensor([False])), inside)


def test_augmented_targets_lie_on_the_dots(task, monkeypatch):
    monkeypatch.setattr(augment, "photometric", lambda images, *_, **__: images)
    monkeypatch.setattr(task_landmarks, "degrade", lambda images, gen: images)
    images = task.batch(torch.arange(40), augment.generator(3)) / 2 + 0.5
    points, face = task.targets
    assert face.tolist() == [0.0] * 8 + [1.0] * 32
    for image, five in zip(images[8:], points[8:]):
        visible = ((five > 0.08) & (five < 0.92)).all(1)
        assert visible.sum() >= 3
        assert brightness_at(image[None], five[None])[visible].min() > 0.7


def test_batches_repeat_with_their_generator(task):
    first, second = (task.batch(torch.arange(20), augment.generator(1, 2)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (20, 1, 64, 64) and first.min() >= -1 and first.max() <= 1


def test_perfect_points_have_no_error(task):
    task.batch(torch.arange(40))
    points, face = task.targets
    figures = task.metrics(torch.cat([points.flatten(1), face[:, None]], 1))
    assert figures["nme"] == pytest.approx(0, abs=1e-6) and figures["seen"] == 1


def test_box_is_guessed_from_points():
    gen = torch.Generator().manual_seed(1)
    points = torch.rand(50, 5, 2, generator=gen)
    boxes = points.flatten(1)[:, :4] * 2 + 0.5
    assert torch.allclose(task_landmarks.box_from_points(points[:5], points[10:], boxes[10:]), boxes[:5], atol=1e-4)


def outputs(width, height):
    """YuNet's outputs for a picture without a face."""
    cells = {s: (width // s) * (height // s) for s in yunet.STRIDES}
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {f"{part}_{s}": np.zeros((n, widths[part]), dtype=np.float32) for s, n in cells.items() for part in widths}


def test_yunet_decodes_one_cell():
    made = outputs(96, 64)
    cell = 1 * 6 + 2  # stride 16: row 1, column 2 of 6
    made["cls_16"][cell], made["obj_16"][cell] = 0.9, 0.4
    made["bbox_16"][cell] = [0.5, 0.25, math.log(2), math.log(3)]
    made["kps_16"][cell] = np.arange(10) / 10
    boxes, points, scores = yunet.decode(made, 96, threshold=0.5)
    assert scores == pytest.approx([0.6])
    assert boxes[0] == pytest.approx([40 - 16, 20 - 24, 32, 48])
    assert points[0, 0] == pytest.approx([32, 17.6]) and points[0, 4] == pytest.approx([44.8, 30.4], abs=1e-4)
    assert len(yunet.decode(made, 96, threshold=0.7)[0]) == 0


def test_suppression_keeps_the_best_of_a_heap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [30, 0, 10, 10]], dtype=np.float32)
    assert yunet.suppress(boxes, np.array([0.7, 0.9, 0.8])).tolist() == [1, 2]
    assert yunet.suppress(boxes[:0], np.empty(0)).tolist() == []


def test_bad_labels_are_dropped():
    points = np.repeat(FACE.numpy() / 96, 4, 0)
    points[1, 3:, 1] = points[1, 0, 1]  # the mouth at the eyes
    labels = {"points": points, "presence": np.array([1, 1, 0.1, 1]), "apart": np.array([0.01, 0.01, 0.01, 0.5])}
    assert label_landmarks.good(labels).tolist() == [True, False, False, False]


def test_stray_finds_the_spread():
    template = FACE[0].numpy() / 96
    angles = np.radians([-10, 10])
    turned = [(template - 0.5) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + 0.5 for a in angles]
    found = measure_template.stray(np.array(turned), template)
    assert found["rotation"]["std"] == pytest.approx(10, abs=1e-3)
    assert found["logScale"]["std"] == pytest.approx(0, abs=1e-6)


class Perfect(landmarks.Landmarks):
    """Finds the dots of `dots` by the points it is told, to check the two passes' geometry."""

    def __init__(self, points):
        self.points = points

    def once(self, images, centre, side, angle):
        return crops.to_image(crops.to_crop(self.points, centre, side, angle), centre, side, angle), torch.ones(1)


@pytest.mark.parametrize("follow", [False, True])
def test_two_passes_return_image_pixels(follow):
    points, presence = Perfect(FACE).run(dots(FACE), BOX, torch.tensor([0.7]), follow=follow)
    assert torch.allclose(points, FACE, atol=1e-3) and presence.item() == 1


def test_following_turns_and_moves_with_the_face():
    centre, side, angle = crops.follow(FACE)
    turn = crops.rotation(torch.tensor([0.5])).mT
    moved = crops.follow(2 * FACE @ turn + 7)
    assert torch.allclose(moved[0], (2 * centre[:, None] @ turn)[:, 0] + 7, atol=1e-3)
    assert moved[1].item() == pytest.approx(2 * side.item(), rel=1e-4)
    assert moved[2].item() == pytest.approx(angle.item() + 0.5, abs=1e-4)
    assert centre[0, 1] < (FACE[0, 0, 1] + FACE[0, 3, 1]) / 2  # towards the forehead
