"""Action units: the difference maps, the feeding, the folds, the figures, and a tiny run from folds to card, on made faces."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

import augment
import card_action_units
import cednn
import cross_validate
import difference_maps
import evaluate_action_units
import export_action_units
import locate_ckplus
import manifest
import measure_template
import prepare
import task_action_units
import weights

SIZE = cednn.SIZE
MODES = [("none", ()), ("add", cednn.ALL), ("gate", (0, 2, 5)), ("concat", (1, 5))]


@pytest.fixture(scope="module")
def maps():
    return difference_maps.DifferenceMaps(SIZE)


def faces(count, seed=1):
    """Smooth made pictures in -1..1."""
    coarse = torch.rand(count, 1, 9, 9, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic").clamp(0, 1) * 2 - 1


def randomise(net):
    """Weights and statistics that hide nothing: no zero, no untouched batch normalisation."""
    torch.manual_seed(5)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
        if isinstance(module, cednn.Feed) and module.mode in ("add", "gate"):
            torch.nn.init.normal_(module.mix.weight, std=0.3)
    return net.eval()


def test_a_face_does_not_differ_from_itself(maps):
    binary, signed = maps(faces(4), faces(4))
    assert not binary.any() and not signed.any()


@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (2, 0), (-2, 2), (0.5, -1.5)])
def test_the_same_expression_moved_by_a_pixel_or_two_leaves_an_almost_empty_map(maps, shift):
    face = faces(16)
    rows, columns = (difference_maps.shift_matrix(SIZE, by) for by in shift)
    binary, _ = maps(face, rows @ face @ columns.T)
    assert binary[:, 0].mean() < 0.01
    unregistered = (maps.standardise(face) - maps.standardise(rows @ face @ columns.T)).abs() * maps.inside
    assert (unregistered > maps.thresholds[0, 0]).float().mean() > 5 * binary[:, 0].mean()


def test_brightness_and_contrast_do_not_count(maps):
    face = faces(8)
    binary, _ = maps(face, face * 0.5 - 0.3)
    assert binary[:, 0].mean() < 0.001


def test_maps_are_nested_and_lie_where_the_face_changed(maps):
    neutral = faces(8)
    face = neutral.clone()
    face[:, :, 30:38, 18:30] = -face[:, :, 30:38, 18:30]
    binary, signed = maps(face, neutral)
    assert (binary[:, :-1] >= binary[:, 1:]).all()
    inside = binary[:, 0, 28:40, 16:32].mean()
    outside = binary[:, 0, :24].mean()
    assert inside > 0.3 and inside > 5 * outside
    assert torch.equal(binary[:, 2:3], (signed.abs() > difference_maps.THRESHOLDS[2]).float())


def test_a_flat_picture_has_no_difference_that_is_not_a_number(maps):
    binary, signed = maps(torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE))
    assert not binary.any() and signed.isfinite().all()


@pytest.mark.parametrize("feed", MODES, ids=[mode for mode, _ in MODES])
def test_empty_maps_give_exactly_the_plain_trunk(feed):
    net = randomise(cednn.build(14, feed=(feed,) * 5))
    plain = cednn.build(14, feed=(("none", ()),) * 5).eval()
    state = {key: value for key, value in net.state_dict().items() if "mix" not in key}
    for key, value in plain.state_dict().items():
        if state[key].shape != value.shape:  # a concatenating block also has weights for the maps
            state[key] = state[key][:, : value.shape[1]]
    plain.load_state_dict(state)
    face = faces(4)
    with torch.no_grad():
        alone = net(torch.cat([face, face], 1))
        torch.testing.assert_close(alone, plain(torch.cat([face, faces(4, 2)], 1)), rtol=0, atol=1e-6)
        beside = net(torch.cat([face, faces(4, 2)], 1))
    assert torch.allclose(alone, beside) == (feed[0] == "none")


def test_an_unknown_way_to_feed_is_refused():
    with pytest.raises(ValueError, match="none, add, gate or concat"):
        cednn.Feed("multiply", (0,), 8, 2)


def test_grouped_and_dense_have_as_many_weights():
    count = lambda net: sum(p.numel() for p in net.parameters())
    grouped, dense = cednn.build(14), cednn.build(14, groups=1, middles=cednn.DENSE)
    assert abs(count(dense) / count(grouped) - 1) < 0.01
    assert 200_000 < count(grouped) < 300_000


def test_only_the_classifier_depends_on_the_number_of_units():
    few, many = cednn.build(5).state_dict(), cednn.build(13).state_dict()
    assert few.keys() == many.keys()
    assert [key for key in few if few[key].shape != many[key].shape] == ["head.weight", "head.bias"]


def test_every_part_learns():
    net = cednn.build(14).train()
    pair = torch.cat([faces(8), faces(8, 2)], 1)
    for feed in net.trunk.feeds:  # at zero a gate or sum passes no gradient on, only takes it
        if feed.mode != "none":
            torch.nn.init.normal_(feed.mix.weight, std=0.1)
    torch.nn.functional.binary_cross_entropy_with_logits(net(pair), torch.rand(8, 14).round()).backward()
    dead = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_export_equals_the_network_alone_and_in_any_batch(tmp_path):
    net = randomise(cednn.build(14))
    model = export_action_units.export(net, tmp_path / "net.onnx")
    differences = export_action_units.check(net, tmp_path / "net.onnx")
    assert max(differences.values()) < 1e-4, differences
    assert [[d.dim_value for d in o.type.tensor_type.shape.dim[1:]] for o in model.graph.output] == [
        [14],
        [5, SIZE, SIZE],
    ]
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    image, neutral = (faces(2, seed).numpy() for seed in (1, 2))
    _, found = session.run(None, {"image": image, "neutral": neutral})
    assert set(np.unique(found)) == {0.0, 1.0}


def test_folds_keep_people_whole_and_even():
    rng = np.random.default_rng(1)
    subjects = np.array([f"S{i:03}" for i in rng.integers(0, 60, 300)])
    of = task_action_units.folds(subjects)
    assert all(len(set(of[subjects == name])) == 1 for name in set(subjects))
    counts = np.bincount(of, minlength=task_action_units.FOLDS)
    assert counts.min() > 0 and counts.max() - counts.min() <= 5


def test_figures_by_hand():
    truth = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], dtype=bool)
    active = np.array([[1, 1], [0, 1], [1, 0], [0, 0]], dtype=bool)
    np.testing.assert_allclose(evaluate_action_units.f1(active, truth), [0.5, 0.5])
    assert evaluate_action_units.auc(np.array([0.9, 0.4, 0.4, 0.1]), truth[:, 0]) == pytest.approx(0.875)
    logits = np.array([[3.0], [2.0], [-2.0], [-3.0]])
    (cut,) = evaluate_action_units.thresholds(logits, np.array([[1], [1], [0], [0]], dtype=bool))
    assert 0.35 <= cut < 0.88


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Twenty made people of two sequences; a bright bar above or below says which units there are."""
    rng = np.random.default_rng(3)
    subjects = np.repeat([f"S{i:03}" for i in range(20)], 2)
    coarse = torch.rand(20, 1, 9, 9, generator=torch.Generator().manual_seed(2))
    people = torch.nn.functional.interpolate(coarse, (48, 48), mode="bicubic").clamp(0, 1)[:, 0].numpy() * 200
    units = [f"AU{number:02}" for number in range(1, 15)]
    coded = (rng.random((40, 14)) < 0.4).astype(np.uint8)
    coded[:, 13] = 0
    coded[0, 13] = 1  # too rare
    frames = people[np.repeat(np.arange(20), 2)][:, None].repeat(5, 1)
    frames[:, 1:, 10:16, 10:38] += 55 * coded[:, 0, None, None, None]
    frames[:, 1:, 34:40, 10:38] += 55 * coded[:, 1, None, None, None]
    has_onset = np.arange(40) > 2
    np.savez(
        tmp_path / "ckplus.npz",
        frames=frames.clip(0, 255).astype(np.uint8),
        has_onset=has_onset,
        has_apex=np.arange(40) % 3 > 0,
        subject=subjects,
        emotion=np.where(coded[:, 0] == 1, "happy", "anger"),
        units=np.array(units),
        coded=coded,
        neutral=people[:10].astype(np.uint8),
        neutral_subject=np.array([f"S{i:03}" for i in range(10)]),
    )
    template = np.array(list(task_action_units.align.template(task_action_units.ActionUnits.TEMPLATE).values()))
    points = np.broadcast_to(template, (40, 5, 5, 2)).copy()
    points[5, 4] = np.nan
    np.savez(tmp_path / "ckplus_points.npz", frames=points, neutral=np.broadcast_to(template, (10, 5, 2)))
    votes = np.zeros((30, 10), dtype=np.uint8)
    votes[:, 0] = 10
    for split in ("train", "valid"):
        images = rng.integers(0, 256, (30, 48, 48), dtype=np.uint8)
        np.savez(tmp_path / f"fer_{split}.npz", images=images, votes=votes, fer2013=np.zeros(30, dtype=np.int64))
    monkeypatch.setattr(prepare, "CACHE", tmp_path)
    return coded


def test_a_fold_holds_people_that_training_has_not_seen(data):
    for fold in range(task_action_units.FOLDS):
        training, valid = (task_action_units.ActionUnits(split, SIZE, fold=fold) for split in ("train", "valid"))
        assert not set(training.subject) & set(valid.subject)
        assert not set(training.neutral_subject) & set(valid.neutral_subject)
        assert set(valid.neutral_subject) <= set(valid.subject)


def test_references_are_the_persons_own_or_nobodys_or_a_strangers(data):
    task = task_action_units.ActionUnits("valid", SIZE, fold=0)
    for row in range(len(task)):
        own, stranger = (task.standing(row, reference) for reference in ("own", "other"))
        assert task.neutral_subject[own] == task.subject[row] != task.neutral_subject[stranger]
        assert task.standing(row, "none") == -1
    pair = task.pairs([0, 1], "none")
    assert torch.equal(pair[:, 0], pair[:, 1])
    with pytest.raises(ValueError, match="own, none, other"):
        task_action_units.ActionUnits("train", SIZE, reference="mine")


def test_augmented_batches_depend_only_on_their_numbers_and_drop_maps(data):
    task = task_action_units.ActionUnits("train", SIZE)
    index = torch.arange(len(task))
    one, same, other = (task.batch(index, augment.generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    alone = (one[:, 0] == one[:, 1]).flatten(1).all(1)
    assert 0.15 < alone.float().mean() < 0.5
    nothing = task_action_units.ActionUnits("train", SIZE, reference="none").batch(index, augment.generator(1))
    assert torch.equal(nothing[:, 0], nothing[:, 1])


def test_labels_are_the_units_with_a_tenth_of_positives(data):
    task = task_action_units.ActionUnits("train", SIZE)
    assert task.units == [f"AU{number:02}" for number in range(1, 14)]
    assert task.signatures(prepare.load("ckplus"))["happiness"] == ["AU01"]
    loss = lambda index: task.loss(torch.full((1, 13), -9.0), torch.tensor([index])).item()
    positive = int(np.flatnonzero(data[:, :13].sum(1))[0])
    calm = int(np.flatnonzero(task.kinds == 1)[0])
    assert loss(positive) > 1 > loss(calm)


@pytest.mark.parametrize("units", [5, 13])
def test_one_configuration_trains_five_or_thirteen_units(data, monkeypatch, units):
    learnt = task_action_units.ActionUnits.learnt
    monkeypatch.setattr(
        task_action_units.ActionUnits,
        "learnt",
        staticmethod(lambda arrays: tuple(part[:units] for part in learnt(arrays))),
    )
    args = cross_validate.parse(["cednn", "--arm", "scratch", "--epochs", "6", "--threads", "1"])
    net, task = cross_validate.prepared(args, 0)
    assert net.head.out_features == len(task.units) == units
    state, loss = cross_validate.fit(net, task, args)
    assert state["head.weight"].shape == (units, cednn.WIDTHS[-1])
    first = task.loss(torch.zeros(len(task), units), torch.arange(len(task))).item()
    assert loss < first


def test_from_folds_to_card(data, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MODELS", tmp_path)
    monkeypatch.setattr(manifest, "FILE", tmp_path / "manifest.json")
    monkeypatch.setitem(cross_validate.ARMS, "cednn", cross_validate.ARMS["scratch"])
    found = lambda tiles, template, size: (torch.rand(len(tiles), 1, size, size), torch.ones(len(tiles)).bool())
    monkeypatch.setattr(measure_template, "aligned", found)
    plan = ["cednn", "--epochs", "1", "--threads", "1", "--runs", str(tmp_path)]
    for folds in ("0-9", "all"):
        cross_validate.main(cross_validate.parse([*plan, "--folds", folds]))
    name = "action_units_cednn"
    arguments = type("Arguments", (), dict(run="cednn", name=name, model=name, runs=tmp_path, data=prepare.DATA))
    export_action_units.main(arguments)
    evaluate_action_units.main(arguments)
    entry = manifest.entry(name)
    assert entry["task"] == "actionUnits" and entry["dataLicense"].startswith("research")
    assert [spec["name"] for spec in entry["inputs"]] == ["image", "neutral"]
    assert len(entry["outputs"][0]["thresholds"]) == len(entry["outputs"][0]["labels"]) == 13
    net = cednn.build(13)
    weights.start(net, weights.load(tmp_path / entry["weights"]["file"]))
    trained = torch.load(tmp_path / "cednn" / "state.pt", weights_only=True)["ema"]
    assert entry["weights"] == manifest.file_facts(tmp_path / name / weights.NAME)
    torch.testing.assert_close(net.state_dict(), trained, atol=1e-3, rtol=1e-3)
    report = json.loads((tmp_path / name / "evaluation.json").read_text())
    assert report["n"] == 40 and [unit["au"] for unit in report["rare"]] == ["AU14"]
    assert "| AU01 |" in card_action_units.card() and "$" not in card_action_units.card()


def test_points_that_were_not_found_leave_the_tile_as_it_is():
    template = np.array(list(task_action_units.align.template(task_action_units.ActionUnits.TEMPLATE).values()))
    points = np.stack([np.full((5, 2), np.nan), template * 0.5 + 0.25])
    lost, half = task_action_units.to_tile(points, template)
    np.testing.assert_allclose(lost, [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(half, [[0.5, 0, 0.25], [0, 0.5, 0.25]], atol=1e-12)
    assert locate_ckplus.TILE == measure_template.TILE


def test_the_committed_card_is_what_the_figures_give():
    assert (manifest.MODELS / card_action_units.NAME / "README.md").read_text() == card_action_units.card()
