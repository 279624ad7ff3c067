"""Studies: the same images for every arm, noise as asked, resuming arm by arm, tables and verdicts."""

import importlib
import json
import re
from types import SimpleNamespace

import pytest
import torch
from conftest import FACES

import augment
import prepare
import study
import study_dacl
import study_scn
import study_start
import train
import weights


def test_noise_changes_the_share_asked_for_and_never_to_the_same():
    labels = torch.arange(1000) % 8
    made = study.wrong(labels, 8, 0.3, torch.Generator().manual_seed(1))
    assert (made != labels).sum() == 300 and made.min() >= 0 and made.max() < 8
    shifts = torch.bincount((made - labels)[made != labels] % 8, minlength=8)
    assert shifts[0] == 0 and (shifts[1:] > 20).all()
    assert torch.equal(study.wrong(labels, 8, 0, torch.Generator()), labels)


def test_every_arm_sees_the_same_images_and_labels_single(trainer):
    clean, noisy = (study.faces(64, study.Arm("a", "scn", seed, noise=noise), 9) for seed, noise in ((1, 0), (2, 0.5)))
    assert len(clean) <= 9 and torch.equal(clean.images, noisy.images)
    assert torch.equal(noisy.true["ferplus"], clean.majority) and torch.equal(noisy.true["fer2013"], clean.fer2013)
    for name in study.LABELS:
        assert (noisy.given[name] != noisy.true[name]).sum() == round(len(noisy) / 2)
        assert torch.equal(clean.given[name], clean.true[name])
    assert torch.equal(noisy.ferplus.argmax(1), noisy.given["ferplus"]) and noisy.ferplus.sum() == len(noisy)


def result(ferplus, fer2013=0.5):
    return {"ferplus": ferplus, "fer2013": fer2013}


@pytest.mark.parametrize(
    ("ours", "says"),
    [((0.84, 0.86, 0.85), r"\+1.00 .* 3 of 3 seeds: it helps"), ((0.90, 0.80, 0.86), "2 of 3 seeds: it does not")],
)
def test_verdict_needs_every_seed_and_more_than_the_spread(ours, says):
    theirs = [result(value) for value in (0.82, 0.84, 0.83)]
    text = study.verdict("Ours", "theirs", [result(value) for value in ours], theirs)
    assert re.search(says, text), text


def test_one_seed_proves_nothing():
    assert "does not help beyond chance" in study.verdict("A", "B", [result(0.9)], [result(0.1)])


def test_cured_compares_the_last_edit_with_the_truth():
    data = SimpleNamespace(
        given={"ferplus": torch.tensor([1, 2, 3]), "fer2013": torch.tensor([0, 0, 0])},
        true={"ferplus": torch.tensor([0, 2, 4]), "fer2013": torch.tensor([0, 0, 1])},
    )
    edits = [[5, 0, 0, 1, 7], [6, 0, 0, 7, 0], [6, 0, 1, 2, 5], [6, 1, 2, 0, 3]]
    labels = study_scn.cured(data, {"objective": {"edits": torch.tensor(edits)}})["labels"]
    assert labels["ferplus"] == {"wrong": 2, "cured": 1, "changed": 2, "spoilt": 1}
    assert labels["fer2013"] == {"wrong": 1, "cured": 0, "changed": 1, "spoilt": 0}
    assert study_scn.cured(data, {"objective": {}}) == {}


@pytest.fixture
def quick(trainer, tmp_path, monkeypatch):
    """Both studies cut to what a test can wait for, with a training that only writes what a study reads."""
    trained = []

    def fake(args, data, valid):
        trained.append(args.name)
        folder = args.runs / args.name
        folder.mkdir(parents=True)
        row = {"epoch": 1, "lr": 0, "ferplus": 0.5 + 0.01 * args.seed, "fer2013": 0.4, "seconds": 1}
        if args.network == "dacl":
            row |= {"attention": 0.5, "attentionSpread": 0.1}
        (folder / "log.jsonl").write_text(json.dumps(row) + "\n")
        edits = {"edits": torch.tensor([[1, 0, 0, 0, 1]])} if args.network == "scn" else {}
        torch.save({"objective": edits}, folder / "state.pt")
        return {}

    monkeypatch.setattr(train, "train", fake)
    options = f"--count 16 --epochs 1 --below 0 --runs {tmp_path} --out {tmp_path / 'out'}"
    return trained, study.parse("test", options.split())


@pytest.mark.parametrize(("module", "name", "arms"), [(study_dacl, "dacl", 6 + 9), (study_scn, "scn", 3 + 24 + 3)])
def test_a_study_trains_every_arm_once_and_goes_on_where_it_stopped(quick, module, name, arms):
    trained, args = quick
    module.main(args)
    assert len(trained) == len(set(trained)) == arms
    text = (args.out / f"{name}.md").read_text()
    assert text.count("| ---") >= 2 and "16 training images" in text and "0.40" not in text and "40.00" in text
    results = json.loads((args.out / f"{name}.json").read_text())
    assert results["plan"]["count"] == 16
    assert not list(args.runs.glob(f"{name}/*/state.pt"))
    (args.runs / name / trained[-1] / "result.json").unlink()
    del trained[:]
    for folder in args.runs.glob(f"{name}/*"):
        if not (folder / "result.json").exists():
            (folder / "log.jsonl").unlink()
            folder.rmdir()
    module.main(args)
    assert len(trained) == 1
    assert (args.out / f"{name}.md").read_text() == text


def test_the_trunk_that_studies_start_from_sees_none_of_their_images(trainer, monkeypatch):
    monkeypatch.setattr(study, "RESERVED", 9)
    used = study.faces(64, study.Arm("a", "scn", 1), 9).images
    others = study_start.others(prepare.DATA).images
    assert len(used) == 9 and len(others) == FACES - 9
    assert not (others[:, None] == used[None]).flatten(2).all(2).any()


@pytest.mark.parametrize("network", ["resnet18", "dacl", "scn"])
def test_an_arm_above_held_maps_is_the_whole_network(trainer, tmp_path, network):
    trainer("resnet18", "start", "--epochs", "1", "--set", "pool=true")
    start = tmp_path / "start" / "state.pt"
    module, data = importlib.import_module(network), study.Expression("valid", 64)
    torch.manual_seed(1)
    whole = module.build(pool=True).eval()
    weights.start(whole, weights.load(start), module.FRESH or ("head.",))
    upper = module.build(pool=True, below=study.BELOW).eval()
    weights.start(upper, whole.state_dict(), ("head.",))
    index = torch.arange(len(data))
    expected = whole(data.batch(index))
    study.hold(data, study.maps("valid", 64, None, start, study.BELOW, True, prepare.DATA))
    torch.testing.assert_close(upper(data.batch(index)), expected, atol=2e-3, rtol=2e-3)  # maps are halves
    # Training sees tiles and mirror images, by the generator alone.
    drawn = data.batch(index, augment.generator(1))
    assert torch.equal(drawn, data.batch(index, augment.generator(1)))
    same = (drawn == data.batch(index)).flatten(1).all(1)
    assert same.any() and not same.all()
