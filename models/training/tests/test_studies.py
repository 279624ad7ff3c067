"""The studies' parts: what company does to the published attention, folds of people, hard variants, tables."""

import json

import numpy as np
import pytest
import torch

import cascade
import conditions
import study_mien
import study_patt_lite
import tables
import task_expression


def arm(attention):
    torch.manual_seed(1)
    made = study_patt_lite.Arm([], 512, 6, patches=2, attention=attention).eval()
    torch.nn.init.uniform_(made.token[2].weight, 1, 3)
    return made


@pytest.fixture(scope="module")
def maps():
    return torch.rand(8, 512, 6, 6, generator=torch.Generator().manual_seed(2)) * 4


def test_attention_across_the_batch_mixes_an_image_with_its_company(maps):
    net = arm("batch")
    alone = study_patt_lite.logits(net, maps, batch=1)
    together = study_patt_lite.logits(net, maps, batch=8)
    assert (alone - together).abs().max() > 1e-3
    # Alone there is nothing to mix with: the layer is the identity.
    net.attention, net.over = None, None
    torch.testing.assert_close(study_patt_lite.logits(net, maps, batch=8), alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("attention", [None, "image", "cells"])
def test_the_other_arms_judge_an_image_by_itself(maps, attention):
    net = arm(attention)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    alone = study_patt_lite.logits(net, maps, batch=1)
    torch.testing.assert_close(study_patt_lite.logits(net, maps, order, batch=8), alone, rtol=0, atol=1e-5)


def test_full_arm_has_the_networks_parameters():
    full = sum(p.numel() for p in study_patt_lite.Arm([], 512, 6, patches=2, attention="image").parameters())
    net = study_patt_lite.patt_lite.PattLite()
    assert full == sum(p.numel() for name, p in net.named_parameters() if not name.startswith("trunk"))


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_patches_of_every_size_run(kernel):
    assert study_patt_lite.Patches(512, 6, kernel)(torch.zeros(1, 512, 6, 6)).shape[1] == 256


def test_nobody_is_on_both_sides_of_a_fold():
    people = [f"S{i % 23:03}" for i in range(200)] + ["S100"] * 12
    of = study_patt_lite.folds(people)
    assert all(len({int(of[i]) for i, p in enumerate(people) if p == name}) == 1 for name in set(people))
    sizes = torch.bincount(of, minlength=10)
    assert sizes.min() > 0 and sizes.max() - sizes.min() <= 12


def test_covering_fills_a_box_with_the_mean_and_nothing_else():
    tiles = torch.rand(2, 1, 10, 10)
    made = conditions.covered(tiles, 0.2, 0.5, 0, 1)
    torch.testing.assert_close(made[:, 0, 2:5], tiles.mean((1, 2, 3)).view(2, 1, 1).expand(2, 3, 10))
    assert torch.equal(made[:, :, :2], tiles[:, :, :2]) and torch.equal(made[:, :, 5:], tiles[:, :, 5:])


def test_no_turn_changes_nothing_and_a_quarter_turn_is_exact():
    tiles = torch.rand(1, 1, 12, 12)
    torch.testing.assert_close(conditions.rotated(tiles, 0), tiles)
    torch.testing.assert_close(conditions.from_the_side(tiles, 0), tiles)
    torch.testing.assert_close(conditions.rotated(tiles, 90), tiles.rot90(1, (2, 3)), rtol=0, atol=1e-4)


def test_from_the_side_foreshortens_the_far_half_more():
    ramp = ((torch.arange(48) + 0.5) / 24 - 1).view(1, 1, 1, 48).expand(1, 1, 48, 48).contiguous()
    row = conditions.from_the_side(ramp, 30)[0, 0, 24]
    assert row[24].abs() < 0.05  # the middle stays
    # Where the picture is compressed, its values change faster: the half that is turned away.
    near, far = row[20] - row[12], row[35] - row[27]
    assert min(near, far) > 8 / 24 and abs(near - far) > 0.02


def test_every_condition_keeps_shape_and_range():
    tiles = torch.rand(3, 1, 48, 48)
    for name, make in conditions.conditions().items():
        made = make(tiles)
        assert made.shape == tiles.shape and made.min() >= -1e-5 and made.max() <= 1 + 1e-5, name
        assert (name == "as it is") == torch.equal(made, tiles), name


def test_tables_stand_between_their_markers():
    figures = {"mean": 0.5, "deviation": 0.01, "values": [0.49, 0.51]}
    report = {
        "command": "python x",
        "settings": {"epochs": 2, "seeds": [1, 2], "images": 4000},
        "n": {"ferplus": 3199},
        "rows": [{"arm": "full", "ferplus": figures}],
    }
    text = "before\n<!-- patt_lite_ablation -->\nold\n<!-- /patt_lite_ablation -->\nafter\n"
    filled = tables.fill(text, {"patt_lite_ablation": report, "patt_lite_layers": report})
    assert filled.startswith("before\n") and filled.endswith("after\n") and "old" not in filled
    assert "| full | 50.0 % ± 1.0 |" in filled and "`python x`" in filled and "FERPlus n = 3,199" in filled
    assert tables.fill(filled, {"patt_lite_ablation": report}) == filled


def test_committed_tables_are_what_the_figures_give():
    for file in tables.FILES:
        text = file.read_text()
        assert tables.fill(text, tables.reports()) == text


def pair(n=400):
    """Scores, and an edge that is right as often as they say; a server that is right but for every fifth face."""
    scores = torch.linspace(0.2, 1, n, dtype=torch.float64)
    edge = torch.rand(n, generator=torch.Generator().manual_seed(4), dtype=torch.float64) < scores
    return scores, edge, torch.arange(n) % 5 > 0


def test_a_cascade_lies_between_the_edge_alone_and_the_server_alone():
    scores, edge, server = pair()
    assert cascade.cascade(scores, edge, server, 0.0) == (edge.double().mean().item(), 0.0)
    assert cascade.cascade(scores, edge, server, 2.0) == (server.double().mean().item(), 1.0)
    below = cascade.threshold(scores, 0.25)
    assert abs(cascade.cascade(scores, edge, server, below)[1] - 0.25) < 0.01


def test_a_threshold_escalates_no_more_than_allowed_and_only_where_it_wins():
    scores, edge, server = pair()
    below = cascade.best(scores, edge, server)
    accuracy, share = cascade.cascade(scores, edge, server, below)
    assert 0 < share <= cascade.AT_MOST + 0.01 and accuracy > edge.double().mean()
    assert cascade.best(scores, torch.ones_like(edge), server) == 0.0


def test_what_is_held_back_shows_no_gain_where_the_server_guesses_as_the_edge_does():
    scores, edge, server = pair()
    labels = torch.arange(len(scores)) % 8
    assert cascade.held(scores, edge, server, labels)["gain"] > cascade.GAIN
    assert cascade.held(scores, edge, edge, labels)["gain"] == 0


@pytest.mark.parametrize("settings", study_mien.ARMS.values(), ids=str)
def test_arms_of_our_nets_study_keep_its_shape_and_train_every_parameter(settings):
    torch.manual_seed(1)
    net = study_mien.train.build(study_mien, settings)
    given = net(torch.randn(4, 1, 48, 48))
    assert given.shape == (4, 15, 3, 3)
    given.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    dense = sum(p.numel() for p in study_mien.mien_net.build().parameters())
    count = sum(p.numel() for p in net.parameters())
    assert count < dense / 2 if "separable" in settings else count > dense if "squeeze" in settings else count == dense


def test_our_nets_study_runs_whole_and_goes_on_where_it_stopped(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(study_mien, "RECIPE", {**study_mien.RECIPE, "batch": 8})
    options = ["--images", "24", "--epochs", "1", "--seeds", "1", "2", "--out", str(tmp_path), "--runs", str(tmp_path)]
    args = study_mien.parse(options)
    with pytest.raises(FileNotFoundError, match="teach.py wilder"):
        study_mien.main(args)
    faces, answers = np.zeros((40, 48, 48), np.uint8), np.full((40, 15), 1 / 8, np.float32)
    np.savez(task_expression.teacher_file(study_mien.TEACHER), answers=answers[:24], faces=faces, face_answers=answers)
    monkeypatch.setattr(
        study_mien.quantize, "wasm_ms", lambda files, side: [4.0, 2.0, 3.0, 6.0, 5.0, 4.0][: len(files)]
    )
    study_mien.main(args)
    text = (tmp_path / "mien.json").read_text()
    report = json.loads(text)
    assert [row["arm"] for row in report["rows"]] == [study_mien.BASE, study_mien.RAW, *list(study_mien.ARMS)[1:]]
    assert len(report["rows"][0]["ferplus"]["values"]) == 2 and "fer2013" not in report["rows"][4]
    assert [row["arm"] for row in report["rows"] if "time" in row] == list(study_mien.ARMS)[:3]
    assert report["rows"][2]["time"] == {"fp32": 0.75, "int8": 1.5} and "| 0.75, 1.50 |" in tables.section(
        "mien", report
    )
    assert study_mien.IMAGES == 4000 and " 24 training images" in tables.section("mien", report).replace(";", "")
    monkeypatch.setattr(study_mien.train, "train", None)  # every arm is there: nothing is trained again
    study_mien.main(args)
    assert (tmp_path / "mien.json").read_text() == text


def test_an_arm_that_learns_one_label_set_leaves_the_other_head_alone():
    net, data = torch.nn.Conv2d(1, 15, 1), study_mien.Expression.__new__(study_mien.Expression)
    data.teacher = None
    data.ferplus, data.fer2013 = torch.eye(8)[[1, 2]], torch.tensor([3, -1])
    for heads, still in ((["ferplus"], slice(8, 15)), (["fer2013"], slice(0, 8))):
        net.zero_grad()
        study_mien.Objective(net, data, heads).loss(torch.randn(2, 1, 3, 3), torch.arange(2), 0).backward()
        assert net.bias.grad[still].abs().sum() == 0 and net.bias.grad.abs().sum() > 0
