"""The two checks of heatmaps, on maps and networks whose answer is known."""

import pytest
import torch
import torch.nn.functional as F

import card
import check_heatmaps
import dacl
import export
import mini_xception
from task_expression import Expression


class Corner:
    """Its one logit is the mean of the upper left quarter, and nothing else."""

    def logits(self, images):
        return images[:, :, :32, :32].mean((2, 3))


def test_top_quarter_takes_a_quarter_and_the_first_of_equals():
    maps = torch.tensor([[[3.0, 1.0], [2.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    assert check_heatmaps.top_quarter(maps).tolist() == [[[1, 0], [0, 0]], [[1, 0], [0, 0]]]
    gen = torch.Generator().manual_seed(1)
    for cells in (3, 4, 64):
        masks = check_heatmaps.random_quarter((5, cells, cells), gen)
        assert masks.sum((1, 2)).tolist() == [round(cells * cells / 4)] * 5


def test_masks_are_enlarged_by_whole_cells():
    images, fill = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    masks = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    assert check_heatmaps.masked(images, fill, masks)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [0] * 4, [0] * 4]


def test_blur_keeps_a_flat_picture_and_takes_detail():
    flat = torch.full((1, 1, 48, 48), 0.3)
    torch.testing.assert_close(check_heatmaps.blurred(flat), flat)
    noise = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    assert check_heatmaps.blurred(noise).std() < noise.std() / 10


def test_masking_tells_the_right_map_from_a_wrong_one():
    images = torch.full((40, 1, 64, 64), -1.0)
    images[:, :, :32, :32] = 1
    labels = torch.zeros(40, dtype=torch.long)
    right = torch.zeros(40, 4, 4)
    right[:, :2, :2] = 1
    found = check_heatmaps.masking(Corner(), images, labels, right)
    assert found["drop"] > 2 * found["random"] > 0 and found["p"] < 0.001
    assert found["otherFace"] == pytest.approx(found["drop"])
    wrong = check_heatmaps.masking(Corner(), images, labels, right.flip(1, 2))
    assert wrong["drop"] == 0 and wrong["p"] > 0.99


def test_paired_p():
    gen = torch.Generator().manual_seed(3)
    noise = torch.randn(200, generator=gen)
    assert check_heatmaps.paired_p(noise + 1) == 1 / (1 + check_heatmaps.FLIPS)
    assert check_heatmaps.paired_p(-noise - 1) == 1
    assert check_heatmaps.paired_p(torch.cat([noise, -noise])) == pytest.approx(0.5, abs=0.02)
    # By hand: of the eight signings of 1, 1, 1 one is as large.
    assert check_heatmaps.paired_p(torch.ones(3)) == pytest.approx(1 / 8, abs=0.01)


def test_ranks_share_ties():
    assert check_heatmaps.ranks(torch.tensor([5.0, 1, 5, 3]).numpy()).tolist() == [2.5, 0, 2.5, 1]


def test_spearman():
    a = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(4))
    assert check_heatmaps.spearman(a, a.exp()) == pytest.approx(1)
    assert check_heatmaps.spearman(a, -a) == pytest.approx(-1)
    assert check_heatmaps.spearman(a, torch.zeros_like(a)) == 0
    # 1 - 6 * sum of squared rank differences / (n * (n * n - 1)), n = 4
    one, other = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[2.0, 1, 4, 3]])
    assert check_heatmaps.spearman(one, other) == pytest.approx(1 - 6 * 4 / 60)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(1)
    net = mini_xception.build(15).eval()
    return export.export(net, Expression.HEADS, 64, tmp_path_factory.mktemp("heatmaps") / "net.onnx")


def test_random_weights_are_others_of_the_same_shapes(model):
    fresh, again = (check_heatmaps.with_random_weights(model, 1) for _ in range(2))
    assert fresh.SerializeToString() == again.SerializeToString() != model.SerializeToString()
    shapes = [[list(w.dims) for w in m.graph.initializer] for m in (fresh, model)]
    assert shapes[0] == shapes[1]


def test_check_gives_a_row_for_each_map_and_the_card_prints_them(model, monkeypatch):
    monkeypatch.setattr(check_heatmaps, "NETWORKS", 2)
    monkeypatch.setattr(check_heatmaps, "MASKS", 2)
    images = F.interpolate(torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(5)), (64, 64)) * 2 - 1
    rows = check_heatmaps.check(model, images, ["evidence", "guidedBackprop"])
    assert [row["map"] for row in rows] == ["evidence", "guidedBackprop", "guidedBackprop, 8x8 patches"]
    assert [row["cells"] for row in rows] == [[4, 4], [64, 64], [8, 8]]
    for row in rows:
        assert row["least"] <= row["correlation"] <= row["most"] and row["passes"] in (True, False)
    text = card.heatmaps({"data": "synthetic", "n": 6, "masks": 2, "networks": 2, "command": "x", "maps": rows})
    assert text.count("\n| ") == 4 and "6 tiles of synthetic" in text


def test_attention_of_dacl_is_the_winning_class_of_its_attentive_evidence(tmp_path):
    torch.manual_seed(1)
    net = dacl.build(pool=True).eval()
    model = check_heatmaps.Model(export.export(net, Expression.HEADS, 64, tmp_path / "net.onnx"))
    images, labels = torch.rand(3, 1, 64, 64) * 2 - 1, torch.tensor([0, 5, 7])
    with torch.no_grad():
        expected = net.read(images)[4][torch.arange(3), labels]
    torch.testing.assert_close(model.attention(images, labels), expected, atol=1e-4, rtol=1e-3)


def test_what_fails_is_not_offered():
    rows = [{"map": "evidence", "passes": True}, {"map": "evidence, 8x8 patches", "passes": False}]
    assert check_heatmaps.offered(["evidence"], rows) == ["evidence"]
    assert check_heatmaps.offered(["evidence", "attention"], [*rows, {"map": "attention", "passes": False}]) == [
        "evidence"
    ]
