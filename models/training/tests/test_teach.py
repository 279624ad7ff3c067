"""Learning from other models' answers, on synthetic faces."""

import numpy as np
import pytest
import torch

import align
import augment
import evaluate
import export
import soup
import task_expression
import teach
import teachers
import tutors
import wild


def test_answers_are_the_mean_over_a_tile_nearer_and_farther_and_their_mirror_images():
    def logits(images):
        seen.append(images)
        return images[:, 0, 4, :1].expand(-1, 15) * torch.arange(15)

    seen, tiles = [], (torch.arange(8) * 30).to(torch.uint8).expand(1, 8, 8).contiguous()
    given = teach.answers(logits, 8, task_expression.Expression, tiles)
    torch.testing.assert_close(seen[0][0, 0], tiles[0] / 255)
    torch.testing.assert_close(seen[1][0, 0], tiles[0].flip(1) / 255)
    assert seen[2][0, 0, 4, 0] > seen[0][0, 0, 4, 0], "nearer: the outermost columns leave the picture"
    expected = sum(task_expression.probabilities(view[:, 0, 4, :1] * torch.arange(15)) for view in seen) / 6
    torch.testing.assert_close(given, expected)


def test_a_run_teaches_as_an_exported_model_does(trainer, tmp_path):
    trainer("mien_net", "one", "--epochs", "1")
    net, module, _ = evaluate.load_run(tmp_path / "one")
    images = torch.rand(3, 1, 48, 48)
    logits, size, Task = teachers.answers("one", tmp_path)
    assert size == module.SIZE and Task is task_expression.Expression
    with torch.no_grad():
        torch.testing.assert_close(logits(images), net(images * 2 - 1).mean((2, 3)), rtol=1e-4, atol=1e-4)
    exported, size, Task = teachers.answers("expression_mien", tmp_path)
    assert size == 48 and Task is task_expression.Expression and exported(images).shape == logits(images).shape
    with pytest.raises(KeyError, match="Cannot find nobody"):
        teachers.answers("nobody", tmp_path)


def test_teacher_takes_its_share_of_the_loss(trainer, tmp_path):
    task = task_expression.Expression("train", 48)
    index = torch.arange(len(task))
    outputs = torch.randn(len(task), 15, 3, 3, generator=torch.Generator().manual_seed(1))
    alone = task.loss(outputs, index).item()
    labels = torch.cat([task.ferplus, torch.nn.functional.one_hot(task.fer2013.clamp(min=0), 7)], 1)
    np.savez(task_expression.teacher_file("same"), answers=labels.numpy())
    task.learn_from("same", 0.5)
    assert task.loss(outputs, index).item() == pytest.approx(alone, abs=1e-5)
    np.savez(task_expression.teacher_file("even"), answers=np.full((len(task), 15), 1 / 8, dtype=np.float32))
    task.learn_from("even", 0.0)
    assert task.loss(outputs, index).item() == pytest.approx(alone, abs=1e-5)
    task.learn_from("even", 1.0)
    assert abs(task.loss(outputs, index).item() - alone) > 0.01


def test_faces_without_labels_join_the_training_images_and_are_learnt_from_their_teacher_alone(trainer):
    task = task_expression.Expression("train", 48)
    n, tiles = len(task), task.images
    answers = np.full((n, 15), 1 / 8, dtype=np.float32)
    faces, said = np.full((2, 48, 48), 7, np.uint8), np.zeros((2, 15), np.float32)
    said[:, [2, 10]] = 1
    np.savez(task_expression.teacher_file("wilder"), answers=answers, faces=faces, face_answers=said)
    task.learn_from("wilder", 1.0, faces=False)
    assert len(task) == n
    task.learn_from("wilder", 0.5)
    assert len(task) == n + 2 and torch.equal(task.images[:n], tiles) and (task.images[n:] == 7).all()
    logits = torch.zeros(2, 15, 1, 1)
    task.teacher_weight, index = 1.0, torch.tensor([n, n + 1])
    assert task.loss(logits, index).item() == pytest.approx(np.log(8) + np.log(7))
    logits[:, [2, 10]] = 9
    assert task.loss(logits, index).item() < 0.01
    assert task.batch(index, augment.generator(1)).shape == (2, 1, 48, 48)


def test_wild_faces_are_those_with_trusted_points_laid_on_the_template(trainer, tmp_path):
    across = np.broadcast_to(np.arange(96, dtype=np.uint8)[None, None, :, None], (3, 96, 96, 3))
    np.savez(tmp_path / "wild.npz", images=across, expression=np.array(["neutral"] * 3))
    points = np.array(list(align.template().values()), dtype=np.float32)
    laid = np.stack([points, points, points / 2 + 0.25])  # the last: a face half as large in the middle
    np.savez(tmp_path / "landmarks_wild.npz", points=laid, keep=np.array([True, False, True]))
    whole, half = wild.tiles().astype(int)
    assert np.abs(whole[24] - (2 * np.arange(48) + 0.5)).max() <= 1, "one output pixel for two of the picture"
    assert np.abs(half[24] - (24 + np.arange(48))).max() <= 1


def test_the_terms_of_wild_faces_go_with_the_weights_that_learnt_from_them(trainer):
    task, answers = task_expression.Expression, np.zeros((24, 15), np.float32)
    np.savez(task_expression.teacher_file("plain"), answers=answers)
    np.savez(task_expression.teacher_file("wilder"), answers=answers, faces=np.zeros((2, 48, 48), np.uint8))
    assert export.terms(task, {}) == export.terms(task, {"teacher": "plain"}) == task.DATA_LICENSE
    assert export.terms(task, {"teacher": "wilder"}) == f"{task.DATA_LICENSE}; {wild.DATA_LICENSE}"


def test_teachers_answer_on_faces_without_labels(trainer):
    faces = np.random.default_rng(1).integers(0, 256, (5, 48, 48), np.uint8)
    teach.teach("wilder", ["expression_mien"], faces=faces)
    with np.load(task_expression.teacher_file("wilder")) as stored:
        expected = teach.answers(*teachers.answers("expression_mien"), torch.from_numpy(faces))
        np.testing.assert_allclose(stored["face_answers"], expected, atol=1e-6)
        assert np.array_equal(stored["faces"], faces) and len(stored["answers"]) == 24


def test_training_reads_the_teacher_it_is_told(trainer):
    answers = np.full((24, 15), 1 / 8, dtype=np.float32)
    np.savez(task_expression.teacher_file("even"), answers=answers)
    plain = trainer("mien_net", "plain", "--epochs", "1")
    taught = trainer("mien_net", "taught", "--epochs", "1", "--teacher", "even", "--teacher-weight", "1")
    assert not torch.equal(plain["net"]["head.weight"], taught["net"]["head.weight"])
    np.savez(task_expression.teacher_file("gender"), answers=answers[:, :2])
    with pytest.raises(ValueError, match="2 classes, not 15"):
        trainer("mien_net", "wrong", "--teacher", "gender")
    np.savez(task_expression.teacher_file("others"), answers=np.concatenate([answers, answers[:1]]))
    with pytest.raises(ValueError, match="25 images, not 24"):
        trainer("mien_net", "wrong", "--teacher", "others")
    trainer("mien_net", "dry", "--epochs", "1", "--teacher", "others", "--limit", "16")
    with pytest.raises(FileNotFoundError, match="teach.py nobody"):
        trainer("mien_net", "lost", "--teacher", "nobody")


def test_a_kept_network_answers_as_its_run_did_but_for_half_precision(trainer, tmp_path, monkeypatch):
    trainer("mien_net", "wide", "--epochs", "1", "--set", "widths=[8, 8, 16, 16, 32]")
    images = torch.rand(3, 1, 48, 48)
    logits, *_ = teachers.answers("wide", tmp_path)
    monkeypatch.setattr(teachers, "FOLDER", tmp_path / "teachers")
    teachers.keep("wide", tmp_path, teachers.FOLDER)
    kept, size, _ = teachers.answers("wide", tmp_path / "no runs")
    assert size == 48
    torch.testing.assert_close(kept(images), logits(images), rtol=0.02, atol=0.02)
    with pytest.raises(FileNotFoundError, match="Cannot find nobody"):
        tutors.Tutors(["nobody"], tmp_path)


def test_tutors_answer_every_view_in_turn(trainer, tmp_path):
    names = ["first", "other"]
    for seed, name in enumerate(names):
        trainer("mien_net", name, "--epochs", "1", "--seed", str(seed))
    asked = tutors.Tutors(names, tmp_path)
    inputs = torch.rand(3, 1, 48, 48) * 2 - 1
    nets = [evaluate.load_run(tmp_path / name)[0] for name in names]
    for step, (net, view) in enumerate((net, view) for net in nets for view in augment.VIEWS):
        with torch.no_grad():
            expected = task_expression.probabilities(net(augment.view(inputs, *view)).mean((2, 3)))
        torch.testing.assert_close(asked.answers(inputs, step), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(asked.answers(inputs, 12), asked.answers(inputs, 0))


def test_training_asks_its_tutors_and_resumes_with_them(trainer, stopped_at_five):
    trainer("mien_net", "tutor", "--epochs", "1", "--seed", "2")
    plain = trainer("mien_net", "plain")
    options = ("--tutors", "tutor", "--teacher-weight", "0.9")
    unbroken = trainer("mien_net", "unbroken", *options)
    assert not torch.equal(plain["net"]["head.weight"], unbroken["net"]["head.weight"])
    with stopped_at_five():
        assert trainer("mien_net", "broken", *options)["step"] == 5
    resumed = trainer("mien_net", "broken", *options)
    assert all(torch.equal(value, resumed["net"][key]) for key, value in unbroken["net"].items())


def test_a_soup_is_the_mean_of_its_runs_and_of_networks_kept(trainer, tmp_path, monkeypatch):
    names = ["first", "other"]
    states = [trainer("mien_net", name, "--epochs", "1", "--seed", str(seed)) for seed, name in enumerate(names)]
    soup.soup(names, "both", tmp_path)
    net, _, state = evaluate.load_run(tmp_path / "both")
    key = "head.weight"
    torch.testing.assert_close(net.state_dict()[key], (states[0]["ema"][key] + states[1]["ema"][key]) / 2)
    assert state["config"]["soup"] == ["other"] and state["step"] == states[0]["step"]
    monkeypatch.setattr(teachers, "FOLDER", tmp_path / "teachers")
    teachers.keep("other", tmp_path, teachers.FOLDER)
    (tmp_path / "other").rename(tmp_path / "gone")
    soup.soup(names, "again", tmp_path)
    again, _, _ = evaluate.load_run(tmp_path / "again")
    torch.testing.assert_close(again.state_dict()[key], net.state_dict()[key], rtol=1e-3, atol=1e-4)
