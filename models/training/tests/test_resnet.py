"""ResNet-18's size, and the losses of DACL and SCN against cases computed by hand."""

from types import SimpleNamespace

import pytest
import torch

import dacl
import resnet18
import scn
from task_expression import Expression


def weights_of(net):
    return sum(p.numel() for p in net.parameters())


def test_parameter_counts_are_the_published_ones():
    assert weights_of(resnet18.Trunk(channels=3)) == 11_176_512
    assert weights_of(resnet18.Trunk()) == 11_176_512 - 2 * 64 * 49
    assert weights_of(resnet18.Trunk(pool=True)) == weights_of(resnet18.Trunk())
    # At 224 pixels: four layers of 25,088, 3584, 512 and 64 inputs, batch normalisation after three.
    published = [25_088 * 3584 + 3 * 3584, 3584 * 512 + 3 * 512, 512 * 64 + 3 * 64, 64 * 1024 + 1024]
    assert weights_of(dacl.Context(7, cheap=False)) == sum(published)
    assert 1_700_000 < weights_of(dacl.Context(7, cheap=True)) < 1_750_000
    # SCN with eight classes and one alpha in colour is 11,181,129; ours has seven classes more, another alpha and delta1.
    assert weights_of(scn.build()) == 11_181_129 - 2 * 64 * 49 + 7 * 513 + 513 + 1


def test_a_dilated_stage_gives_what_it_gave_and_the_cells_between():
    torch.manual_seed(1)
    plain, dilated = resnet18.build(pool=True).eval(), resnet18.build(pool=True, dilated=True).eval()
    dilated.load_state_dict(plain.state_dict())
    images = torch.rand(2, 1, 64, 64) * 2 - 1
    expected, found = plain(images), dilated(images)
    assert expected.shape[2:] == (2, 2) and found.shape[2:] == (4, 4)
    torch.testing.assert_close(found[:, :, ::2, ::2], expected)
    assert not torch.allclose(found[:, :, 1::2, 1::2], expected, atol=1e-2)


@pytest.mark.parametrize(("pool", "dilated", "cells"), [(False, False, 4), (True, False, 2), (True, True, 4)])
@pytest.mark.parametrize("context", ["cheap", "published"])
def test_dacl_reads(pool, dilated, cells, context):
    torch.manual_seed(1)
    net = dacl.build(pool=pool, dilated=dilated, context=context).eval()
    images = torch.rand(3, 1, 64, 64) * 2 - 1
    maps, embedding, attention, distances, attentive = net.read(images)
    features = net.trunk(images)
    assert maps.shape == (3, 15, cells, cells) and attentive.shape == (3, 8, cells, cells)
    assert torch.equal(maps, net(images))
    pairs = net.context(features).flatten(1).view(3, 512, 2)
    torch.testing.assert_close(attention, pairs.softmax(2)[:, :, 1])
    by_hand = [[(a * (x - c) ** 2).sum().item() for c in net.centres] for a, x in zip(attention, embedding)]
    torch.testing.assert_close(distances, torch.tensor(by_hand))
    # Its mean is the logit that weighted features would give, without bias.
    torch.testing.assert_close(
        attentive.mean((2, 3)), (attention * embedding) @ net.head.weight[:8, :, 0, 0].T, rtol=1e-4, atol=1e-4
    )


def test_dacl_refuses_a_context_it_does_not_know():
    with pytest.raises(ValueError, match='"dear": use cheap or published'):
        dacl.build(context="dear")


# Two images of class 0, one of class 1; three classes, two features.
X = [[1.0, 2.0], [3.0, 0.0], [0.0, 4.0]]
A = [[0.5, 1.0], [1.0, 0.5], [0.25, 0.5]]
C = [[1.0, 1.0], [2.0, 2.0], [9.0, 9.0]]
LABELS = torch.tensor([0, 0, 1])


def test_sparse_centre_loss_and_its_gradients_by_hand():
    x, a, c = (torch.tensor(rows, requires_grad=True) for rows in (X, A, C))
    loss = dacl.sparse_centre_loss(x, a, c, LABELS)
    # a (x - c)^2: 0 + 1, 4 + 0.5, 1 + 2; over 2 N = 6.
    assert loss.item() == pytest.approx(8.5 / 6)
    (0.01 * loss).backward()
    dx = torch.tensor([[0.0, 1.0], [2.0, -0.5], [-0.5, 1.0]]) / 3  # a (x - c) / N
    da = torch.tensor([[0.0, 1.0], [4.0, 1.0], [4.0, 4.0]]) / 6  # (x - c)^2 / 2N
    torch.testing.assert_close(x.grad, 0.01 * dx)
    torch.testing.assert_close(a.grad, 0.01 * da)
    assert c.grad is None


def test_centres_move_by_their_own_rule_and_not_as_autograd_would():
    x, a = torch.tensor(X), torch.tensor(A)
    c = torch.tensor(C, requires_grad=True)
    own = dacl.towards(x, a, c.detach(), LABELS)
    # Class 0: (0 + 2, 1 - 0.5) / (1 + 2); class 1: (-0.5, 1) / (1 + 1); class 2 has no image and stays.
    torch.testing.assert_close(own, torch.tensor([[2 / 3, 0.5 / 3], [-0.25, 0.5], [0.0, 0.0]]))
    loss = (a * (x - c[LABELS]) ** 2).sum() / (2 * len(x))
    (0.01 * loss).backward()
    # Plain differentiation divides by N, not 1 + n, and carries lambda: here a hundredth, and of other proportions.
    torch.testing.assert_close(-c.grad, 0.01 * torch.tensor([[2.0, 0.5], [-0.5, 1.0], [0.0, 0.0]]) / 3)
    moved = own[:2] / -c.grad[:2]
    torch.testing.assert_close(moved, torch.tensor([[100.0, 100.0], [150.0, 150.0]]))


class Faces(Expression):
    """Six faces of noise; one has no FERPlus majority, one no FER2013 label."""

    def __init__(self):
        gen = torch.Generator().manual_seed(1)
        self.size = 64
        self.images = torch.randint(0, 256, (6, 48, 48), generator=gen, dtype=torch.uint8)
        self.majority = torch.tensor([0, 1, 1, 3, -1, 4])
        self.ferplus = torch.nn.functional.one_hot(self.majority.clamp(min=0), 8).float()
        self.ferplus[4] = torch.tensor([0.5, 0, 0, 0.5, 0, 0, 0, 0])
        self.fer2013 = torch.tensor([6, 3, 3, 4, 4, -1])
        self.teacher = None


def test_dacl_objective_adds_the_loss_of_images_with_a_majority_and_moves_their_centres():
    torch.manual_seed(1)
    data, net = Faces(), dacl.build(pool=True).eval()
    index, lam = torch.arange(6), 0.3
    aim = dacl.Objective(net, data, lam=lam)
    inputs, centres = data.batch(index), net.centres.clone()
    loss = aim.loss(inputs, index, 0)
    maps, x, a, *_ = net.read(inputs)
    known = torch.tensor([0, 1, 2, 3, 5])
    pulled = dacl.sparse_centre_loss(x[known], a[known], centres, data.majority[known])
    torch.testing.assert_close(loss, data.loss(maps, index) + lam * pulled)
    aim.step()
    own = dacl.towards(x[known], a[known], centres, data.majority[known])
    torch.testing.assert_close(net.centres, centres + 0.5 * own)
    assert own.abs().sum(1).bool().tolist() == [True, True, False, True, True, False, False, False]
    figures = aim.report()
    assert figures["attention"] == pytest.approx(a.mean().item(), abs=1e-4)
    assert figures["attentionSpread"] == pytest.approx(a.std(correction=0).item(), abs=1e-4)
    assert aim.report() == {}


def test_attention_that_shrinks_is_pushed_back():
    torch.manual_seed(1)
    data, net = Faces(), dacl.build(pool=True).eval()
    index = torch.arange(6)
    with torch.no_grad():
        net.context[-1].bias[1::2] -= 9  # component 1 of every pair
    losses = [dacl.Objective(net, data, floor=floor).loss(data.batch(index), index, 0) for floor in (0, 0.1)]
    mean = net.read(data.batch(index))[2].mean()
    assert mean < 0.01
    torch.testing.assert_close(losses[1] - losses[0], 0.1 - mean)


def test_without_attention_it_is_the_centre_loss_and_at_zero_the_cross_entropy():
    torch.manual_seed(1)
    data, net = Faces(), dacl.build(pool=True).eval()
    index = torch.arange(6)
    inputs = data.batch(index)
    plain = data.loss(net(inputs), index)
    assert torch.equal(dacl.Objective(net, data, lam=0).loss(inputs, index, 0), plain)
    known = torch.tensor([0, 1, 2, 3, 5])
    x = net.read(inputs)[1][known]
    centre = (x - net.centres[data.majority[known]]).square().sum() / 10
    torch.testing.assert_close(
        dacl.Objective(net, data, lam=0.2, attention=False).loss(inputs, index, 0), plain + 0.2 * centre
    )


def test_scn_weighs_each_head_by_its_own_alpha():
    torch.manual_seed(1)
    net = scn.build(pool=True).eval()
    images = torch.rand(4, 1, 64, 64) * 2 - 1
    maps, alpha = net.weighted(images)
    plain = net.head(net.trunk(images))
    for k, columns in enumerate((slice(0, 8), slice(8, 15))):
        torch.testing.assert_close(maps[:, columns], alpha[:, k].view(4, 1, 1, 1) * plain[:, columns])
    served, first = net.read(images)
    assert torch.equal(served, maps) and torch.equal(first, alpha[:, :1])
    assert (alpha > 0).all() and (alpha < 1).all()


@pytest.mark.parametrize(("beta", "high", "low"), [(0.7, [2, 0, 1], [4, 3]), (0.99, [2, 0, 1, 4], [3]), (0, [2], None)])
def test_groups_by_rank(beta, high, low):
    alpha = torch.tensor([0.8, 0.7, 0.9, 0.1, 0.2])
    groups = [group.tolist() for group in scn.split_by_rank(alpha, beta)]
    assert groups[0] == high and (low is None or groups[1] == low)


def test_rank_loss_by_hand():
    alpha = torch.tensor([0.9, 0.8, 0.7, 0.6], requires_grad=True)
    # beta 0.5: high 0.85, low 0.65, a lead of 0.2.
    assert scn.rank_loss(alpha, torch.tensor(0.15), 0.5).item() == 0
    loss = scn.rank_loss(alpha, torch.tensor(0.35), 0.5)
    assert loss.item() == pytest.approx(0.15)
    loss.backward()
    assert alpha.grad.tolist() == [-0.5, -0.5, 0.5, 0.5]


def test_doubted_is_a_strict_lead_over_the_given_label():
    probabilities = torch.tensor([[0.7, 0.3], [0.55, 0.45], [0.2, 0.8]])
    assert scn.doubted(probabilities, torch.tensor([1, 1, 1]), 0.2).tolist() == [True, False, False]


def test_scn_loss_is_the_sum_of_both_parts():
    torch.manual_seed(1)
    data, net = Faces(), scn.build(pool=True).eval()
    index = torch.arange(6)
    inputs = data.batch(index)
    aim = scn.Objective(net, data, gamma=0.25, delta1=0.4, relabel=0)
    maps, alpha = net.weighted(inputs)
    ranked = scn.rank_loss(alpha[:, 0], net.margin, 0.7) + scn.rank_loss(alpha[:5, 1], net.margin, 0.7)
    torch.testing.assert_close(aim.loss(inputs, index, 0), 0.25 * ranked + 0.75 * data.loss(maps, index))
    figures = aim.report()
    assert figures["edits"] == 0 and figures["delta1"] == pytest.approx(0.4)
    assert figures["ferplusAlpha"] == pytest.approx(alpha[:, 0].mean().item(), abs=1e-4)


@pytest.mark.parametrize("learn", [False, True])
def test_delta1_is_fixed_or_learnt(learn):
    torch.manual_seed(1)
    data, net = Faces(), scn.build(pool=True)
    index = torch.arange(6)
    scn.Objective(net, data, delta1=0.4, learn=learn).loss(data.batch(index), index, 0).backward()
    # Two heads, half of the loss each: the gradient can only shrink it.
    assert (net.margin.grad is None) != learn and (not learn or net.margin.grad.item() == pytest.approx(1.0))


def logits_for(classes, columns=8):
    return torch.nn.functional.one_hot(torch.tensor(classes), columns).float() * 9


@pytest.mark.parametrize("rule", ["paper", "code"])
def test_relabelling_takes_the_low_group_or_every_image_and_keeps_a_log(rule):
    data = Faces()
    before = data.ferplus.clone(), data.fer2013.clone()
    maps = torch.cat([logits_for([2, 1, 2, 3, 3, 4]), logits_for([0, 3, 3, 0, 4, 0], 7)], 1)[:, :, None, None]
    alpha = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.7], [0.2, 0.8], [0.3, 0.9]])
    net = SimpleNamespace(margin=torch.nn.Parameter(torch.tensor(0.0)), weighted=lambda _: (maps, alpha))
    aim = scn.Objective(net, data, relabel=10, rule=rule)
    index = torch.arange(6)
    aim.loss(None, index, 8)
    assert aim.edits == [] and torch.equal(data.ferplus, before[0])
    aim.loss(None, index, 9)
    # FERPlus: images 0 and 2 are answered otherwise, both in the high group (beta 0.7 of 6: 0, 1, 2, 3). Image 4 has two
    # equal votes, and the answer is one of them. FER2013: 0 and 3; of five labelled 3 are high (4, 3, 2), and 5 has none.
    ferplus = [] if rule == "paper" else [[10, 0, 0, 0, 2], [10, 0, 2, 1, 2]]
    fer2013 = [[10, 1, 0, 6, 0]] if rule == "paper" else [[10, 1, 0, 6, 0], [10, 1, 3, 4, 0]]
    assert sorted(aim.edits) == ferplus + fer2013
    for _, head, image, _, after in aim.edits:
        label = data.ferplus[image].argmax() if head == 0 else data.fer2013[image]
        assert label == after
    assert data.fer2013[5] == -1 and data.ferplus[4].tolist() == before[0][4].tolist()
    # The log alone brings a fresh copy to the same labels, and holds what was there before.
    again = Faces()
    other = scn.Objective(net, again, relabel=10, rule=rule)
    other.restore(aim.state())
    assert torch.equal(again.ferplus, data.ferplus) and torch.equal(again.fer2013, data.fer2013)
    for _, head, image, old, _ in aim.edits:
        assert old == (before[0][image].argmax() if head == 0 else before[1][image])


def test_scn_refuses_a_rule_it_does_not_know():
    with pytest.raises(ValueError, match='"mine": use paper or code'):
        scn.Objective(scn.build(), Faces(), rule="mine")


@pytest.mark.parametrize("module", [dacl, scn], ids=["dacl", "scn"])
def test_gradients_reach_every_weight_that_learns(module):
    torch.manual_seed(3)
    data, net = Faces(), module.build()
    index = torch.arange(6)
    module.Objective(net, data, **({"delta1": 0.9} if module is scn else {})).loss(
        data.batch(index), index, 0
    ).backward()
    dead = [n for n, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)]
    # A bias before batch normalisation is taken away again, so rounding is all that it is given.
    assert [name for name in dead if not name.endswith("bias")] == []
