"""Resuming, on tiny synthetic arrays put into a temporary cache; settings; warm starts."""

import pytest
import torch

import augment
import dacl
import mini_xception
import resnet18
import scn
import train
import weights
from task_expression import Expression

LARGE = ["--epochs", "2", "--set", "pool=true"]
RESUMED = {"mini_xception": [], "dacl": LARGE, "scn": [*LARGE, "--set", "relabel=1", "--set", "delta2=0"]}


@pytest.mark.parametrize("network", RESUMED)
def test_resume_equals_an_unbroken_run(network, trainer, stopped_at_five):
    options = RESUMED[network]
    total = 6 if options else 9
    unbroken = trainer(network, "unbroken", *options)
    assert unbroken["step"] == total
    with stopped_at_five():
        assert trainer(network, "broken", *options)["step"] == 5
    resumed = trainer(network, "broken", *options)
    assert resumed["step"] == total
    for part in ("net", "ema"):
        different = [key for key, value in unbroken[part].items() if not torch.equal(value, resumed[part][key])]
        assert different == []
    if network == "scn":
        edits = unbroken["objective"]["edits"]
        assert len(edits) > 0 and torch.equal(edits, resumed["objective"]["edits"])


def test_bfloat16_trains_the_same_network_nearly(trainer):
    plain, narrow = trainer("mini_xception", "plain"), trainer("mini_xception", "narrow", "--bf16")
    assert {value.dtype for value in narrow["net"].values()} == {value.dtype for value in plain["net"].values()}
    key = "head.weight"
    assert not torch.equal(plain["net"][key], narrow["net"][key])
    torch.testing.assert_close(plain["net"][key], narrow["net"][key], atol=0.02, rtol=0)


def test_learning_rate_warms_up_and_falls_to_zero():
    rates = [train.learning_rate(step, 100, 1.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == 1.0
    assert rates[9:] == sorted(rates[9:], reverse=True) and rates[100] == pytest.approx(0)


def test_average_starts_at_the_weights_and_follows():
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    ema = train.Ema(net, 0.998)
    torch.nn.init.ones_(net.weight)
    ema.update(net)
    assert ema.state["weight"].item() == pytest.approx(9 / 11)  # decay of the first step is 2 / 11


def test_augmentation_depends_only_on_its_numbers():
    tiles = torch.randint(0, 256, (4, 48, 48), dtype=torch.uint8)
    one, same, other = (augment.warp(tiles, 64, augment.generator(*n)) for n in ((1, 2, 3), (1, 2, 3), (1, 2, 4)))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.shape == (4, 1, 64, 64) and one.min() >= 0 and one.max() <= 1


def test_settings_reach_the_network_and_its_objective():
    args = train.parse(
        ["scn", "--set", "pool=true", "--set", "delta1=0.07", "--set", "rule=code", "--set", "relabel=3"]
    )
    assert args.settings == {"pool": True, "delta1": 0.07, "rule": "code", "relabel": 3}
    net = train.build(scn, args.settings)
    assert net(torch.zeros(2, 1, 64, 64)).shape == (2, 15, 2, 2)
    aim = train.goal(scn, net, None, args.settings)
    assert (aim.rule, aim.relabel, round(net.margin.item(), 4)) == ("code", 3, 0.07)


def test_an_unknown_setting_is_named_with_the_known_ones():
    net = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="Cannot set lambda of dacl: use classes, pool, context, below, dilated, lam"):
        train.goal(dacl, net, None, {"lambda": 1})
    with pytest.raises(ValueError, match="Cannot set lam of mini_xception: use classes"):
        train.goal(mini_xception, net, None, {"lam": 1})


def test_a_warm_start_takes_the_trunk_and_leaves_what_is_fresh():
    base = resnet18.build()
    net = dacl.build()
    own = net.context[0].weight.clone()
    weights.start(net, base.state_dict(), dacl.FRESH)
    assert all(torch.equal(value, base.trunk.state_dict()[key]) for key, value in net.trunk.state_dict().items())
    assert torch.equal(net.head.weight, base.head.weight) and torch.equal(net.context[0].weight, own)


def test_a_warm_start_refuses_what_does_not_fit():
    with pytest.raises(KeyError, match="missing .*trunk"):
        weights.start(resnet18.build(), mini_xception.build().state_dict(), resnet18.FRESH)
    with pytest.raises(KeyError, match="unknown .*other"):
        weights.start(mini_xception.build(), mini_xception.build().state_dict() | {"other": torch.zeros(1)})


def test_training_at_another_size_leaves_valid_at_the_networks_own(trainer, monkeypatch):
    seen, batch = set(), Expression.batch

    def look(self, index, gen=None):
        inputs = batch(self, index, gen)
        seen.add(("valid" if gen is None else "train", inputs.shape[3]))
        return inputs

    monkeypatch.setattr(Expression, "batch", look)
    trainer("mini_xception", "small", "--epochs", "1", "--size", "32")
    assert seen == {("train", 32), ("valid", 64)}
