"""Makes small networks with random weights and the tensor names of public implementations, and PyTorch's results for them: the files
of `tests/golden/cases/lookalikes`, which `tests/model/lookalikes.rs` reads.

    python lookalikes.py OUT [SEED]        writes the networks and PyTorch's results into the folder OUT

Each class below says whose names and shapes it has. Widths and depths are small, so that all files together are near 1 MB;
weights are rounded to 16 bits, in which they are saved, and everything is computed in 64. `lookalikes.safetensors` has for
each file images in [0, 1], their logits, the gradient for the images of the sum of log-sum-exp over classes, and what ten steps
of PGD make of them. Images on whose way an input of a rectifier comes so near to 0 that 32 bits do not tell on which side it is
are drawn anew: PyTorch's own ten steps in 32 bits then end elsewhere.
"""

import contextlib
import json
import pathlib
import struct
import sys

import torch
from torch import nn
from torch.nn import functional

MEAN, STD = [0.5, 0.25, 0.375], [0.25, 0.5, 0.25]


class Normalised(nn.Module):
    """(x - mean) / std in front, under the names that the wrapper has."""

    def __init__(self, net, names=None, inside=""):
        super().__init__()
        self.net, self.inside = net, inside
        self.names = names

    def forward(self, x):
        shape = (1, 3, 1, 1)
        mean, std = (torch.tensor(numbers, dtype=x.dtype).view(shape) for numbers in (MEAN, STD))
        return self.net((x - mean) / std)

    def state(self):
        state = {self.inside + key: value for key, value in self.net.state_dict().items()}
        for name, numbers in zip(self.names or (), (MEAN, STD)):
            state[name] = torch.tensor(numbers).view(3, 1, 1)
        return state


class WideBlock(nn.Module):
    """Zhang's TRADES, Zagoruyko's by xternalz."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.equalInOut = inputs == outputs
        self.convShortcut = None if self.equalInOut else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        if not self.equalInOut:
            x = functional.relu(self.bn1(x))
            out = x
        else:
            out = functional.relu(self.bn1(x))
        out = self.conv2(functional.relu(self.bn2(self.conv1(out))))
        return torch.add(x if self.equalInOut else self.convShortcut(x), out)


class NetworkBlock(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    """RobustBench's for Carmon and others 2019, with its block that is never run; the last layer has no bias where told."""

    def __init__(self, classes=5, bias_last=True):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.block1 = NetworkBlock(WideBlock(16, 16, 1))
        self.sub_block1 = NetworkBlock(WideBlock(16, 16, 1))
        self.block2 = NetworkBlock(WideBlock(16, 32, 2))
        self.block3 = NetworkBlock(WideBlock(32, 64, 2))
        self.bn1 = nn.BatchNorm2d(64)
        self.fc = nn.Linear(64, classes, bias=bias_last)

    def forward(self, x):
        h = functional.relu(self.bn1(self.block3(self.block2(self.block1(self.conv1(x))))))
        return self.fc(functional.adaptive_avg_pool2d(h, 1).flatten(1))


def stages(block, depth, width):
    """The three stages of a wide residual network: lists of blocks, of which the second and third stage's first halve the sides."""
    last = 16
    for stage, outputs in enumerate((16 * width, 32 * width, 64 * width)):
        blocks = []
        for place in range((depth - 4) // 6):
            blocks.append(block(last, outputs, 2 if stage > 0 and place == 0 else 1))
            last = outputs
        yield blocks


class DeepMindBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_0 = nn.Conv2d(inputs, outputs, 3, stride, 0, bias=False)
        self.batchnorm_1 = nn.BatchNorm2d(outputs)
        self.conv_1 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.has_shortcut = inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if self.has_shortcut else None
        self.stride = stride

    def forward(self, x):
        v = functional.silu(self.batchnorm_0(x))
        x = v if self.has_shortcut else x
        v = functional.pad(v, (1, 1, 1, 1) if self.stride == 1 else (0, 1, 0, 1))
        out = self.conv_1(functional.silu(self.batchnorm_1(self.conv_0(v))))
        return torch.add(self.shortcut(x) if self.has_shortcut else x, out)


class BlockGroup(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.block = nn.Sequential(*blocks)

    def forward(self, x):
        return self.block(x)


class DeepMindWideResNet(nn.Module):
    """Gowal and others 2020."""

    def __init__(self, classes=5, depth=10, width=1):
        super().__init__()
        self.init_conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.layer = nn.Sequential(*(BlockGroup(*blocks) for blocks in stages(DeepMindBlock, depth, width)))
        self.batchnorm = nn.BatchNorm2d(64 * width)
        self.logits = nn.Linear(64 * width, classes)

    def forward(self, x):
        h = functional.silu(self.batchnorm(self.layer(self.init_conv(x))))
        return self.logits(functional.adaptive_avg_pool2d(h, 1).flatten(1))


class JemBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=True))

    def forward(self, x):
        out = self.conv1(functional.leaky_relu(x, 0.2))
        return self.conv2(functional.leaky_relu(out, 0.2)) + self.shortcut(x)


class JemFeatures(nn.Module):
    def __init__(self, depth, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=True)
        for i, blocks in enumerate(stages(JemBlock, depth, width), 1):
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64 * width, 10)

    def forward(self, x):
        h = functional.leaky_relu(self.layer3(self.layer2(self.layer1(self.conv1(x)))), 0.2)
        return functional.adaptive_avg_pool2d(h, 1).flatten(1)


class Jem(nn.Module):
    """Grathwohl and others 2020: a last layer of features that is replaced, and one for energies that logits do not see."""

    def __init__(self, classes=5, depth=10, width=1):
        super().__init__()
        self.f = JemFeatures(depth, width)
        self.energy_output = nn.Linear(64 * width, 1)
        self.class_output = nn.Linear(64 * width, classes)

    def forward(self, x):
        return self.class_output(self.f(x))


class PreActBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x):
        out = functional.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        return self.conv2(functional.relu(self.bn2(self.conv1(out)))) + shortcut


class PreActResNet(nn.Module):
    """Liu's pytorch-cifar; Rice's has a normalisation before the pool."""

    def __init__(self, closing, classes=5, dims=(8, 8, 16, 16)):
        super().__init__()
        self.conv1 = nn.Conv2d(3, dims[0], 3, 1, 1, bias=False)
        sides = (dims[0], *dims)
        for i in range(4):
            stride = 1 if i == 0 else 2
            first, second = PreActBlock(sides[i], dims[i], stride), PreActBlock(dims[i], dims[i], 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(first, second))
        if closing:
            self.bn = nn.BatchNorm2d(dims[3])
        self.linear = nn.Linear(dims[3], classes)

    def forward(self, x):
        h = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        h = functional.relu(self.bn(h)) if hasattr(self, "bn") else h
        return self.linear(functional.adaptive_avg_pool2d(h, 1).flatten(1))


class ResBlock(nn.Module):
    """A basic block or a bottleneck, under torchvision's and timm's names or those of pytorch-cifar and `robustness`."""

    def __init__(self, inputs, dim, stride, bottleneck, wide, shortcut):
        super().__init__()
        inner, outputs = (dim * wide, dim * 4) if bottleneck else (dim, dim)
        layers = [(inputs, inner, 1, 1), (inner, inner, 3, stride), (inner, outputs, 1, 1)]
        if not bottleneck:
            layers = [(inputs, dim, 3, stride), (dim, dim, 3, 1)]
        self.count = len(layers)
        for i, (a, b, side, step) in enumerate(layers, 1):
            setattr(self, f"conv{i}", nn.Conv2d(a, b, side, step, side // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.changes = shortcut
        if stride != 1 or inputs != outputs:
            change = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            setattr(self, shortcut, change)

    def forward(self, x):
        h = x
        for i in range(1, self.count + 1):
            h = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(h))
            h = functional.relu(h) if i < self.count else h
        return functional.relu(h + (getattr(self, self.changes)(x) if hasattr(self, self.changes) else x))


class ResNet(nn.Module):
    def __init__(self, bottleneck, small, dims, depths=(1, 1, 1, 1), wide=1, classes=5):
        super().__init__()
        self.small = small
        stem = 8 if small else 64
        self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False) if small else nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        last = stem
        for i, (dim, depth) in enumerate(zip(dims, depths)):
            blocks = []
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(ResBlock(last, dim, stride, bottleneck, wide, "shortcut" if small else "downsample"))
                last = dim * 4 if bottleneck else dim
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        setattr(self, "linear" if small else "fc", nn.Linear(last, classes))

    def forward(self, x):
        h = functional.relu(self.bn1(self.conv1(x)))
        h = h if self.small else functional.max_pool2d(h, 3, 2, 1)
        h = self.layer4(self.layer3(self.layer2(self.layer1(h))))
        return (self.linear if self.small else self.fc)(functional.adaptive_avg_pool2d(h, 1).flatten(1))


def robustness(net):
    """As Madry's `robustness` saves it: the network, a copy in what attacks it, and the normalisation twice."""
    bare = net.net.state_dict()
    state = {f"module.model.{key}": value for key, value in bare.items()}
    state |= {f"module.attacker.model.{key}": value for key, value in bare.items()}
    for inside in ("normalizer", "attacker.normalize"):
        for name, numbers in (("new_mean", MEAN), ("new_std", STD)):
            state[f"module.{inside}.{name}"] = torch.tensor(numbers).view(3, 1, 1)
    return {"model": state, "epoch": 3}


def cases():
    """Name, network, and what is saved."""
    net = Normalised(WideResNet(), ("mu", "sigma"), "module.")
    yield "trades_sub_block", net, lambda: {"state_dict": net.state()}
    biasless = Normalised(WideResNet(bias_last=False), ("mean", "std"))
    yield "wrn_without_last_bias", biasless, biasless.state
    deep = Normalised(DeepMindWideResNet(), ("mean", "std"), "model.")
    yield "deepmind", deep, deep.state
    jem = Normalised(Jem())
    yield "jem", jem, lambda: {"model_state_dict": jem.state(), "replay_buffer": torch.zeros(2, 3, 4, 4)}
    closing = Normalised(PreActResNet(True), ("0.mean", "0.std"), "1.")
    yield "preact_rice", closing, closing.state
    plain = Normalised(PreActResNet(False))
    yield "preact_liu", plain, lambda: {"net": {f"module.{key}": value for key, value in plain.state().items()}, "acc": 93.1}
    basic = Normalised(ResNet(False, False, (8, 8, 16, 16), (2, 1, 1, 1)), ("normalize.mean", "normalize.std"), "model.")
    yield "torchvision_basic", basic, basic.state
    wide = Normalised(ResNet(True, False, (4, 4, 8, 8), wide=2), None, "_orig_mod.")
    yield "torchvision_wide", wide, wide.state
    small = Normalised(ResNet(True, True, (4, 8, 8, 8)))
    yield "robustness_bottleneck", small, lambda: robustness(small)
    eighteen = Normalised(ResNet(False, True, (8, 8, 16, 16), (2, 2, 2, 2)), ("normalizer.mean", "normalizer.std"), "backbone.")
    yield "cifar_basic", eighteen, eighteen.state


def rounded(it):
    if isinstance(it, dict):
        return {key: rounded(value) for key, value in it.items()}
    return it.half() if isinstance(it, torch.Tensor) and it.is_floating_point() else it


@torch.no_grad()
def trained(net):
    """Statistics of the layers' own inputs, nothing at 0 or 1, all numbers as 16 bits have them."""
    for weight in net.parameters():
        if weight.ndim == 1:
            weight.add_(torch.rand_like(weight) * 0.4 - 0.2)
    net.train()
    for _ in range(5):
        net(torch.rand(16, 3, 16, 16))
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
    return net.eval()


# Nearer to a kink than this, the side of it is not known in 32 bits, and the slope with it.
DECIDED = 1e-6

# The tests ask for a ten-thousandth of the way that an attack goes, which is beyond 32 bits where it is shorter.
WAY = 0.02


def still(images, pgd):
    """Whether an image did not move, or has no gradient as all of its last rectifiers are at 0, or neither went far."""
    ways = (pgd - images).abs().flatten(1).amax(1)
    return not (ways.min() > 0 and ways.max() >= WAY)


# Where the slope of each function of one number jumps.
KINKS = {"relu": [0], "leaky_relu": [0], "prelu": [0], "elu": [0], "hardtanh": [0, 6], "hardswish": [-3, 3], "hardsigmoid": [-3, 3]}


def gap(h, size, stride=None, padding=0, *others, **named):
    """The least difference of the two largest numbers in a window: with the largest, the slope changes its place. Numbers that are the same
    in 64 bits are zeros of rectifiers, which have no slope anyway."""
    h = functional.pad(h, [padding] * 4, value=-torch.inf)
    windows = h.unfold(2, size, stride or size).unfold(3, size, stride or size).flatten(4)
    first, second = windows.topk(2).values.unbind(-1)
    return torch.where(first == second, torch.inf, first - second).min()


@contextlib.contextmanager
def watched(nearest):
    """Adds to a list how near the inputs of rectifiers come to a kink, and those of pools to a tie, over their root mean square."""

    def watch(function, distance):
        def seen(h, *others, **named):
            with torch.no_grad():
                nearest.append((distance(h, *others, **named) / h.square().mean().sqrt()).item())
            return function(h, *others, **named)

        return seen

    def to(kinks):
        return lambda h, *_, **__: min((h - kink).abs().min() for kink in kinks)

    distances = {name: to(kinks) for name, kinks in KINKS.items()} | {"max_pool2d": gap}
    kept = {name: getattr(functional, name) for name in distances}
    for name, distance in distances.items():
        setattr(functional, name, watch(kept[name], distance))
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(functional, name, function)


def attacked(net, images):
    """Ten steps of PGD up the cross-entropy of classes 0 and 1, each of length 1/16, in the L2 ball of radius 1/2; and how near to a
    kink they come."""
    x, labels, nearest = images.detach().clone(), torch.arange(len(images)), [1.0]
    for _ in range(10):
        x.requires_grad_()
        with watched(nearest):
            logits = net(x)
        (slope,) = torch.autograd.grad(functional.cross_entropy(logits, labels, reduction="sum"), x)
        length = slope.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        moved = x.detach() + slope / length / 16 - images.detach()
        far = moved.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        x = (images.detach() + moved * (0.5 / far).clamp(max=1)).clamp(0, 1)
    return x, min(nearest)


def decided(net, seed):
    """Two random images, what the attack makes of them, and how near they come to a kink: not too near, and on a way of some length."""
    images, again = torch.rand(2, 3, 16, 16).double(), torch.Generator().manual_seed(seed)
    pgd, nearest = attacked(net, images)
    while nearest < DECIDED or still(images, pgd):
        images = torch.rand(2, 3, 16, 16, generator=again).double()
        pgd, nearest = attacked(net, images)
    return images.requires_grad_(), pgd, nearest


def write(path, tensors, metadata):
    header, body = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        numbers = tensor.float().flatten().tolist()
        data = struct.pack(f"<{len(numbers)}f", *numbers)
        shape, offsets = list(tensor.shape), [len(body), len(body) + len(data)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def main(out, seed=20):
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for name, net, state in cases():
        trained(net)
        torch.save(rounded(state()), out / f"{name}.pth")
        images, pgd, nearest = decided(net.double(), seed)
        logits = net(images)
        (gradient,) = torch.autograd.grad(logits.logsumexp(1).sum(), images)
        for part, tensor in (("images", images), ("logits", logits), ("gradient", gradient), ("pgd", pgd)):
            wanted[f"{name}.{part}"] = tensor.detach()
        print(f"{name:<24} {(out / f'{name}.pth').stat().st_size:>7} bytes, {nearest:.0e} from a kink, logits {logits[0].tolist()}")
    about = {"source": f"tests/peers/lookalikes.py, PyTorch {torch.__version__}, float64", "tolerance": "1e-5 of the largest"}
    write(out / "lookalikes.safetensors", wanted, about)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:]))
