"""Gender: the held-out tenth, its copies, and a tiny run from training to card, on made pictures."""

import json
import signal

import numpy as np
import pytest
import torch

import augment
import calibrate
import calibration
import card
import evaluate
import export
import manifest
import measure_template
import mien_net
import mien_net_gender
import mini_xception
import mini_xception_gender
import prepare
import task_gender
import teach
import teachers
import train
import weights

N = 400
ETHNICITIES = ["white", "black", "asian", "indian", "other"]


@pytest.fixture(autouse=True)
def signals():
    """Training takes SIGTERM and SIGINT for itself."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def people(n, seed=1):
    rng = np.random.default_rng(seed)
    return {
        "age": rng.integers(1, 90, n),
        "gender": rng.choice(task_gender.WORDS, n),
        "ethnicity": rng.choice(ETHNICITIES, n, p=[0.4, 0.2, 0.2, 0.15, 0.05]),
    }


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Coarse noise as pictures; the training rows start with a copy and a mirrored copy of a held-out picture."""
    arrays = people(N)
    small = np.random.default_rng(2).integers(0, 256, (N, 16, 16, 3), dtype=np.uint8)
    images = small.repeat(4, 1).repeat(4, 2)
    held = task_gender.held_out(arrays)
    first, second = np.flatnonzero(~held)[:2]
    images[first], images[second] = images[held][0], images[held][1][:, ::-1]
    monkeypatch.setattr(prepare, "CACHE", tmp_path)
    np.savez(tmp_path / "utkface.npz", images=images, **arrays)
    return arrays, held, {first, second}


def off_balance(arrays, held):
    """How far the held-out count of any stratum lies from a tenth of it."""
    groups = task_gender.strata(arrays)
    return np.abs(np.bincount(groups[held], minlength=groups.max() + 1) - np.bincount(groups) / task_gender.SHARE).max()


def test_a_tenth_is_held_out_of_every_stratum():
    arrays = people(5000)
    held = task_gender.held_out(arrays)
    assert held.sum() == 500 and off_balance(arrays, held) < 1
    assert np.array_equal(held, task_gender.held_out(arrays))


def test_strata_are_age_decade_gender_and_ethnicity():
    columns = zip(
        (29, "male", "white"),
        (20, "male", "white"),
        (30, "male", "white"),
        (29, "female", "white"),
        (29, "male", "other"),
    )
    groups = task_gender.strata(dict(zip(("age", "gender", "ethnicity"), map(np.array, columns)))).tolist()
    assert groups[0] == groups[1] and len(set(groups)) == 4


def test_the_tenth_of_the_real_data():
    file = prepare.DATA / "utkface" / "utkface.csv"
    if not file.exists():
        pytest.skip("the training data is not here")
    rows = prepare.read_csv(file)
    arrays = {key: np.array([row[key] for row in rows]) for key in ("gender", "ethnicity")}
    arrays["age"] = np.array([int(row["age"]) for row in rows])
    held = task_gender.held_out(arrays)
    assert held.sum() == round(len(rows) / 10) and off_balance(arrays, held) < 1
    for column in (arrays["age"] // 10, arrays["gender"], arrays["ethnicity"]):
        for value in np.unique(column):
            assert (column[held] == value).mean() == pytest.approx((column == value).mean(), abs=0.002), value


def test_train_and_valid_share_no_picture_and_no_copy(data):
    arrays, held, planted = data
    training, valid = (task_gender.Gender(split, 64) for split in ("train", "valid"))
    assert set(valid.rows) == set(np.flatnonzero(held))
    assert set(training.rows) == set(np.flatnonzero(~held)) - planted
    assert not task_gender.copies(training.images, valid.images).any()
    assert valid.protocol() == {"training": len(training), "heldOut": len(valid), "copiesLeftOut": 2}


def test_labels_are_words_and_pictures_gray(data):
    arrays, _, _ = data
    task = task_gender.Gender("valid", 64)
    assert task_gender.LABELS == ["woman", "man"]
    words = {"female": "woman", "male": "man"}
    assert [task_gender.LABELS[i] for i in task.labels] == [words[word] for word in arrays["gender"][task.rows]]
    luma = task.pictures()[:, 5, 7] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(task.images[:, 5, 7].numpy() - luma).max() <= 0.51
    assert task.batch(torch.arange(3)).shape == (3, 1, 64, 64)
    one, same = (task.batch(torch.arange(3), augment.generator(4)) for _ in range(2))
    assert torch.equal(one, same)


def test_groups_by_hand():
    truth, predicted = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    found = evaluate.by_group(
        ["woman", "man"], predicted, truth, {"age": np.array(["00-09", "00-09", "00-09", "10-19"])}
    )
    assert found == {
        "age": [
            {"group": "00-09", "n": 3, "accuracy": 0.6667, "support": [2, 1], "recall": [0.5, 1.0]},
            {"group": "10-19", "n": 1, "accuracy": 1.0, "support": [0, 1], "recall": [None, 1.0]},
        ]
    }


def test_network_is_mini_xception_with_two_classes():
    stored = [v for v in mini_xception_gender.build().state_dict().values() if v.is_floating_point()]
    assert sum(v.numel() for v in stored) == 52_658
    assert mini_xception_gender.TASK in train.TASKS


def test_its_teacher_is_our_net_with_two_classes_at_64_pixels():
    net = mien_net_gender.build()
    assert sum(v.numel() for v in net.state_dict().values() if v.is_floating_point()) == 555_570
    assert net.eval()(torch.zeros(1, 1, mien_net_gender.SIZE, mien_net_gender.SIZE)).shape == (1, 2, 4, 4)
    knows = mien_net.build().state_dict()
    weights.start(net, knows, mien_net_gender.FRESH)
    assert torch.equal(net.state_dict()["trunk.0.main.0.weight"], knows["trunk.0.main.0.weight"])


def test_a_larger_net_teaches_it(data, tmp_path, monkeypatch):
    plan = ["--runs", str(tmp_path), "--epochs", "1", "--batch", "32", "--threads", "1", "--limit", "64"]
    train.train(train.parse(["mien_net_gender", *plan, "--set", "widths=[8,8,8,8,8]"]))
    monkeypatch.setattr(teachers, "FOLDER", tmp_path / "teachers")
    teachers.keep("mien_net_gender", tmp_path, teachers.FOLDER)
    teach.teach("larger", ["mien_net_gender"], limit=64)
    task = task_gender.Gender("train", 64, limit=64)
    outputs, index = torch.randn(64, 2, 4, 4), torch.arange(64)
    alone = task.loss(outputs, index)
    task.learn_from("larger", 1)
    assert task.teacher.shape == (64, 2)
    torch.testing.assert_close(task.teacher.sum(1), torch.ones(64))
    expected = -(task.teacher * outputs.mean((2, 3)).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(task.loss(outputs, index), expected)
    task.teacher_weight = 0.25
    torch.testing.assert_close(task.loss(outputs, index), 0.75 * alone + 0.25 * expected)
    with pytest.raises(ValueError, match="do not all know the same task"):
        teach.teach("mixed", ["mien_net_gender", "expression_mien"])


def test_from_training_to_card(data, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MODELS", tmp_path)
    monkeypatch.setattr(manifest, "FILE", tmp_path / "manifest.json")
    monkeypatch.setattr(evaluate, "plot", lambda report, title, file: None)
    plain = lambda tiles, template, size: (torch.rand(len(tiles) - 1, 1, size, size), torch.arange(len(tiles)) > 0)
    monkeypatch.setattr(measure_template, "aligned", plain)
    monkeypatch.setattr(calibration, "HALVINGS", 2)
    plan = ["--epochs", "1", "--batch", "32", "--threads", "1", "--limit", "64"]
    train.train(train.parse(["mini_xception_gender", "--runs", str(tmp_path), *plan]))
    name = "gender_mini_xception"
    arguments = dict(
        half=False, variant=False, run="mini_xception_gender", name=name, model=name, runs=tmp_path, data=prepare.DATA
    )
    export.main(type("Arguments", (), arguments))
    entry = manifest.entry(name)
    assert entry["task"] == "gender" and entry["parameters"] == 52_658 and entry["dataLicense"].startswith("research")
    assert [(o["name"], o["shape"], o.get("labels")) for o in entry["outputs"]] == [
        ("logits", ["batch", 2], ["woman", "man"]),
        ("evidence", ["batch", 2, 4, 4], None),
    ]
    assert entry["inputs"][0]["template"] == {
        k: v for k, v in json.loads(task_gender.TEMPLATE.read_text()).items() if k != "measured"
    }
    golden = json.loads((tmp_path / name / "golden.json").read_text())
    assert golden["outputs"]["evidence"]["shape"] == [2, 2, 4, 4]
    assert manifest.file_facts(tmp_path / name / weights.NAME) == entry["weights"]

    fitted = entry["calibration"]
    manifest.update(entry | {"calibration": {"temperature": 9.0, "typicality": "kept"}})
    calibrate.main(type("Arguments", (), arguments | {"models": [name]}))
    assert manifest.entry(name)["calibration"] == fitted | {"typicality": "kept"}

    evaluate.main(type("Arguments", (), arguments))
    bare, aligned = manifest.entry(name)["metrics"]
    assert bare["n"] == 40 and aligned["n"] == 39 and "found and aligned" in aligned["data"]
    report = json.loads((tmp_path / name / "evaluation.json").read_text())
    assert {row["side"]: row["accuracy"] for row in report[0]["framing"]}[1.0] == bare["accuracy"]
    text = card.card(name)
    assert "| 00-09 |" in text and "| other |" in text and "$" not in text


def test_half_precision_weights_start_a_run(data, tmp_path):
    torch.manual_seed(5)
    net = mini_xception.MiniXception(2).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    weights.save(net.state_dict(), "mini_xception_gender", tmp_path / weights.NAME)
    assert (tmp_path / weights.NAME).stat().st_size < 130_000
    other = mini_xception_gender.build().eval()
    other.load_state_dict(weights.load(tmp_path / weights.NAME))
    images = torch.rand(64, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(other(images), net(images), rtol=0, atol=0.01)
    again = {key: value for key, value in other.state_dict().items()}
    weights.save(again, "mini_xception_gender", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / weights.NAME).read_bytes()

    plan = [
        "--runs",
        str(tmp_path),
        "--limit",
        "32",
        "--batch",
        "32",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--lr",
        "1e-9",
    ]
    ema = train.train(train.parse(["mini_xception_gender", "--start", str(tmp_path / weights.NAME), *plan]))
    torch.testing.assert_close(ema["head.weight"], other.head.weight.detach(), rtol=0, atol=1e-6)


def test_weights_out_of_half_precisions_range_are_refused(tmp_path):
    with pytest.raises(AssertionError, match="Cannot keep .'big'"):
        weights.save({"big": torch.tensor([1e6])}, "any", tmp_path / weights.NAME)
