"""Compares the Python package with PyTorch in one process: `pytest tests/peers/test_python.py`, with torch, torchattacks, foolbox and
captum.

LAPIDARY_ROBUST_IMAGES (200) is how many images AutoAttack runs on: by torchattacks over `lapidary.torch.wrap`, and by the library.
"""

import json
import os
import pathlib

import captum.attr
import foolbox
import numpy as np
import pytest
import torch
import torchattacks
from safetensors import safe_open
from torch.nn import functional

import lapidary
import lapidary.torch
from round_trip import WideResNet

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/cases"


@pytest.fixture(scope="module")
def robust():
    return lapidary.load(ROOT / "data/fashion-demo/model.safetensors")


@pytest.fixture(scope="module")
def images(robust):
    data = lapidary.data.fashion(side=robust.side)
    return torch.from_numpy(data.images[:200]), torch.from_numpy(data.labels[:200])


def pairs():
    """The golden WideResNets, live in PyTorch and taken from there, with the case's images and tolerances."""
    for weights, act in (("wrn10_1", functional.relu), ("wrn10_1_swish", functional.silu)):
        with safe_open(GOLDEN / "models/wrn10_1_eval.safetensors", "pt") as case:
            told = case.metadata()
            x, y = case.get_tensor("in.x"), case.get_tensor("in.labels").long()
        told, tolerances = json.loads(told["params"])["model"], json.loads(told["tol"])
        net = WideResNet(10, 1, told["classes"], act, 3)
        with safe_open(GOLDEN / f"weights/{weights}.safetensors", "pt") as file:
            net.load_state_dict({name: file.get_tensor(name) for name in file.keys()}, strict=False)
        net.eval()
        activation = "relu" if act is functional.relu else "silu"
        model = lapidary.from_state_dict(
            net.state_dict(), mean=told["mean"], std=told["std"], activation=activation, side=32
        )
        mean, std = (torch.tensor(told[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
        yield (lambda x, net=net: net((x - mean) / std)), model, x, y, tolerances


def close(given, wanted, tolerance):
    error = (given - wanted).abs()
    beyond = error > tolerance["atol"] + tolerance["rtol"] * wanted.abs()
    assert beyond.float().mean() <= tolerance["frac"], error.max()
    assert not beyond.any() or error.max() <= tolerance["cap"], error.max()


def test_logits_and_gradients_are_pytorchs():
    for net, model, x, y, tolerances in pairs():
        wrapped = lapidary.torch.wrap(model)
        found = []
        for forward in (net, wrapped):
            images = x.clone().requires_grad_()
            logits = forward(images)
            loss = functional.cross_entropy(logits, y)
            gradient = torch.autograd.grad(loss, images)[0]
            found.append((logits.detach(), gradient))
        (logits, gradient), (ours, our_gradient) = found
        close(ours, logits, tolerances["out.logits"])
        close(our_gradient, gradient, tolerances["grad.x.ce"])
        assert not wrapped.training and not list(wrapped.parameters())


def test_tensors_are_taken_as_they_are(robust, images):
    x, y = images
    before = lapidary._native._copies()
    np.testing.assert_array_equal(robust.logits(x), robust.logits(x.numpy()))
    assert lapidary._native._copies() == before
    np.testing.assert_array_equal(robust.energy(x, y), robust.energy(x.numpy(), y.numpy()))
    with pytest.raises(lapidary.Mismatch, match="requires grad"):
        robust.logits(x.clone().requires_grad_())


def test_gradients_of_gradients_are_refused(robust, images):
    x = images[0][:2].clone().requires_grad_()
    logits = lapidary.torch.wrap(robust)(x)
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        gradient.sum().backward()


def test_foolbox_runs_over_it(robust, images):
    x, y = images
    model = foolbox.PyTorchModel(lapidary.torch.wrap(robust), bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(rel_stepsize=1 / 8, steps=10, random_start=False)
    _, moved, broken = attack(model, x[:64], y[:64], epsilons=8 / 255)
    assert (moved - x[:64]).abs().max() <= 8 / 255 + 1e-6
    ours = robust.attack(x[:64], y[:64], norm="Linf", eps=8 / 255, steps=10)
    standing = robust.predict(ours) == y[:64].numpy()
    assert abs((~broken.numpy()).sum() - standing.sum()) <= 1


def test_captums_saliency_is_the_gradient(robust, images):
    x, y = images
    saliency = captum.attr.Saliency(lapidary.torch.wrap(robust)).attribute(x[:8].clone(), target=y[:8])
    wanted = np.abs(robust.input_gradient(x[:8], y[:8], of="logit"))
    np.testing.assert_allclose(saliency.numpy(), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("norm", "eps"), [("L2", 0.5), ("Linf", 8 / 255)])
def test_autoattack_by_torchattacks_comes_to_the_same(robust, images, norm, eps):
    count = int(os.environ.get("LAPIDARY_ROBUST_IMAGES", 200))
    x, y = (part[:count] for part in images)
    # Its padding would be computed for nothing: as many at once as there are.
    wrapped = lapidary.torch.wrap(robust, batch_size=256)
    attack = torchattacks.AutoAttack(wrapped, norm=norm, eps=eps, version="standard", n_classes=10, seed=0)
    attack.set_device("cpu")
    theirs = (robust.predict(attack(x, y).detach()) == y.numpy()) & (robust.predict(x) == y.numpy())
    ours = robust.autoattack(x, y, norm=norm, eps=eps)
    assert ours.version == "standard"
    print(f"{norm} {eps:.4f}, {count} images: torchattacks {theirs.mean():.4f}, lapidary {ours.robust_accuracy:.4f}")
    assert abs(theirs.mean() - ours.robust_accuracy) <= 0.01 + 1e-9
