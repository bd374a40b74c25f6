"""Compares networks of full width with random weights, and their exported files, with PyTorch in one process: `pytest
tests/peers/test_full_width.py`, with torch, torchvision, onnx, onnxscript and pyautoattack.

Logits to 1e-5 of the largest, as PyTorch has them in 64 bits. Gradients for the images of the sum of log-sum-exp to 1e-4 of the largest,
for the best of three images: of millions of rectifiers one may have an input so near to its kink that 32 bits decide otherwise, and
PyTorch's own gradients in 32 bits are then 1e-2 off. Ten steps of PGD raise the target's logit by what PyTorch's do in 64 bits, to 1e-2 of
the gain for each image. How far they end from each other is printed: networks of rectifiers pass many kinks on the way, and PyTorch's own
ways in 32 bits end up to 7e-2 of the way elsewhere.

LAPIDARY_LARGEST=1 runs WRN-34-20, 70-16 and 94-16, too, which want some gigabytes. LAPIDARY_IMAGES=1 compares fewer images than three, for slow
adapters; the gradient's bound is for the best of three, and a lone image near a kink is beyond it.
"""

import gc
import os
import time

import numpy as np
import pyautoattack
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

import lapidary
from lookalikes import MEAN, STD, DeepMindWideResNet, Jem, PreActResNet
from onnx_files import Normalised, export
from round_trip import WideResNet


@torch.no_grad()
def trained(net, side, momentum=0.5):
    """Statistics of the layers' own inputs, of enough of them that no channel is blown up, and nothing at 0 or 1. A residual branch
    that begins at 0, as people train deep ones, stays small. With None for `momentum` the statistics are the inputs' alone, and nothing of
    the variance of 1 that layers begin with, which leaves less and less of the image from layer to layer."""
    for weight in net.parameters():
        if weight.ndim == 1:
            weight.add_(torch.rand_like(weight) * 0.4 - 0.2)
    net.train()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = momentum
    for _ in range(3):
        net(torch.rand(16, 3, side, side))
    return net.eval()


def computed(net, images):
    """PyTorch's logits and gradient."""
    images = images.clone().requires_grad_()
    logits = net(images)
    (gradient,) = torch.autograd.grad(logits.logsumexp(1).sum(), images)
    return logits.detach().numpy(), gradient.numpy()


RADIUS, STEPS, LENGTH = 0.5, 10, 0.1


def attacked(net, images, targets):
    """The images that PGD in the L2 ball makes of images, from the images themselves, up the targets' logits."""
    x = images.clone()
    for _ in range(STEPS):
        x.requires_grad_()
        (slope,) = torch.autograd.grad(net(x).gather(1, targets[:, None]).sum(), x)
        moved = x.detach() + LENGTH * slope / slope.flatten(1).norm(dim=1).view(-1, 1, 1, 1) - images
        far = moved.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        x = (images + moved * (RADIUS / far).clamp(max=1)).clamp(0, 1).detach()
    return x.numpy()


def compare(name, model, net, images):
    targets = net(images).topk(2).indices[:, 1]
    single = *computed(net, images), attacked(net, images, targets) - images.numpy()
    net, exact = net.double(), images.double()
    wanted = *computed(net, exact), attacked(net, exact, targets) - exact.numpy()
    moved = model.explain(images, targets, eps=RADIUS, steps=STEPS, step_size=LENGTH).images - images.numpy()
    ours = model.logits(images), model.input_gradient(images, of="log-sum-exp"), moved

    def off(given, right):
        """Each image's largest difference, over its largest number."""
        sides = tuple(range(1, right.ndim))
        return np.abs(given - right).max(sides) / np.abs(right).max(sides)

    with torch.no_grad():
        start, end, our_end = (
            net(x).gather(1, targets[:, None]) for x in (exact, exact + torch.from_numpy(wanted[2]), exact + torch.from_numpy(moved).double())
        )
    gain = ((our_end - end) / (end - start)).abs().max().item()
    logits, gradient, pgd = (off(given, right) for given, right in zip(ours, wanted))
    theirs, slope, way = (off(given, right) for given, right in zip(single, wanted))
    millions = sum(weight.numel() for weight in net.parameters()) / 1e6
    print(
        f"{name:<36} {millions:7.2f} million: logits {logits.max():.1e} (PyTorch in 32 bits {theirs.max():.1e}), "
        f"gradient {gradient.min():.1e} to {gradient.max():.1e} ({slope.min():.1e} to {slope.max():.1e}), "
        f"PGD-{STEPS} {pgd.min():.1e} to {pgd.max():.1e} ({way.min():.1e} to {way.max():.1e}), its gain to {gain:.1e}",
        flush=True,
    )
    assert logits.max() <= 1e-5, name
    assert gradient.min() <= 1e-4, name
    assert gain <= 1e-2, name


SMALL = {
    "WRN-28-10": (lambda: WideResNet(28, 10, 10, functional.relu), 32, "relu"),
    "WRN-28-10 of DeepMind's": (lambda: DeepMindWideResNet(10, 28, 10), 32, "silu"),
    "WRN-28-10 without normalisation": (lambda: Jem(10, 28, 10), 32, None),
    "PreActResNet-18": (lambda: PreActResNet(False, 10, (64, 128, 256, 512)), 32, "relu"),
    "ResNet-18": (lambda: torchvision.models.resnet18(zero_init_residual=True), 64, None),
    "ResNet-34": (lambda: torchvision.models.resnet34(zero_init_residual=True), 64, None),
    "ResNet-50": (lambda: torchvision.models.resnet50(zero_init_residual=True), 64, None),
    "ResNet-101": (lambda: torchvision.models.resnet101(zero_init_residual=True), 64, None),
    "WRN-50-2": (lambda: torchvision.models.wide_resnet50_2(zero_init_residual=True), 64, None),
}
LARGE = {
    "WRN-34-20 of DeepMind's": (lambda: DeepMindWideResNet(10, 34, 20), 16, "silu"),
    "WRN-70-16": (lambda: WideResNet(70, 16, 10, functional.relu), 16, "relu"),
    "WRN-94-16 of DeepMind's": (lambda: DeepMindWideResNet(10, 94, 16), 16, "silu"),
}
IMAGES = int(os.environ.get("LAPIDARY_IMAGES", 3))
NETWORKS = SMALL | (LARGE if os.environ.get("LAPIDARY_LARGEST") else {})


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_full_width_are_pytorchs(name):
    make, side, activation = NETWORKS[name]
    torch.manual_seed(0)
    net = trained(make(), side)
    model = lapidary.from_state_dict(net.state_dict(), mean=[0.0] * 3, std=[1.0] * 3, activation=activation, side=side)
    compare(f"{name}: {model.architecture}", model, net, torch.rand(IMAGES, 3, side, side))
    del model, net
    gc.collect()


EXPORTED = {
    "ResNet-18": (lambda: torchvision.models.resnet18(num_classes=10), 64),
    "MobileNetV2": (lambda: torchvision.models.mobilenet_v2(num_classes=10), 64),
    "PreActResNet-18": (lambda: PreActResNet(True, 10, (64, 128, 256, 512)), 32),
}


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.parametrize(("new", "operators"), [(False, 13), (False, 17), (True, 18), (True, 21)])
def test_exports_of_full_width_are_pytorchs(tmp_path, name, new, operators):
    make, side = EXPORTED[name]
    torch.manual_seed(1)
    net = Normalised(trained(make(), side)).eval()
    path = tmp_path / "net.onnx"
    export(net, torch.rand(2, 3, side, side), path, new, operators, True)
    model = lapidary.load(path, side=side)
    assert model.normalisation == (MEAN, STD)
    compare(f"{name}, {'torch.export' if new else 'TorchScript'}, set {operators}", model, net, torch.rand(IMAGES, 3, side, side))


ATTACKED = {
    "ResNet-18": (lambda: torchvision.models.resnet18(num_classes=10), 32, 0.02),
    "MobileNetV2": (lambda: torchvision.models.mobilenet_v2(num_classes=10), 32, 0.0015),
    "PreActResNet-18": (lambda: PreActResNet(True, 10, (16, 32, 64, 128)), 16, 0.05),
}
# All four attacks, each short: the whole ones take minutes an image on one core. None is AutoAttack's own number.
SHORT = {"steps": 10, "restarts": 1, "targets": 3, "queries": 100}


@pytest.mark.parametrize("name", ATTACKED)
def test_autoattack_runs_over_an_export(tmp_path, name):
    """The four attacks of AutoAttack to their end, by us from an ONNX file and by the authors' code in PyTorch."""
    make, side, eps = ATTACKED[name]
    torch.manual_seed(2)
    net = Normalised(trained(make(), side, None)).eval()
    images = torch.rand(4, 3, side, side)
    labels = net(images).argmax(1)
    export(net, images, tmp_path / "net.onnx", True, 18, True)
    model = lapidary.load(tmp_path / "net.onnx", side=side)
    assert (model.predict(images) == labels.numpy()).all()
    peer = pyautoattack.AutoAttack(net, norm="L2", eps=eps, seed=0, device="cpu")
    for attack in (peer.apgd, peer.apgd_targeted, peer.fab):
        attack.n_iter, attack.n_restarts = SHORT["steps"], SHORT["restarts"]
    for attack in (peer.apgd_targeted, peer.fab):
        attack.n_target_classes = SHORT["targets"]
    peer.square.n_queries = SHORT["queries"]
    began = time.time()
    moved = peer.run_standard_evaluation(images, labels, batch_size=4)[0]
    theirs = net(moved).argmax(1) == labels
    between = time.time()
    ours = model.autoattack(images, labels, norm="L2", eps=eps, **SHORT)
    print(
        f"AutoAttack over {name} from ONNX, L2 {eps}, {len(images)} images: ours {ours.robust_accuracy:.3f} in {time.time() - between:.0f} s, "
        f"the authors' {theirs.float().mean().item():.3f} in {between - began:.0f} s"
    )
    # What stands has been through all four.
    assert ours.robust_accuracy > 0
    assert abs(ours.robust_accuracy - theirs.float().mean().item()) <= 1 / len(images) + 1e-6
    # What we broke is broken in PyTorch as well, within the ball.
    found = torch.from_numpy(np.asarray(ours.images))
    robust = torch.tensor([point == "robust" for point in ours.points])
    assert ((net(found).argmax(1) == labels) == robust).all()
    assert (found - images).flatten(1).norm(dim=1).max() <= eps * (1 + 1e-4)
