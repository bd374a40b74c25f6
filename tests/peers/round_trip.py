"""Checks that PyTorch, timm and ONNX Runtime compute the original network's logits from files that `lapidary convert` writes,
with errors of at most 1e-5 times the largest logit, or 1e-5 where all are below 1.

    python round_trip.py LAPIDARY        converts networks by the program LAPIDARY, and compares the logits of the written files with the original networks'

LAPIDARY is the built program. Wide residual networks, and timm's ResNet and ConvNeXt, with random weights and statistics:
saved by torch.save as a state dict or, in the format before PyTorch 1.6, as an averaged model of DataParallel's in a
training state; converted to safetensors and to ONNX; loaded again, strictly, by PyTorch and by timm, and run.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import onnxruntime
import safetensors.torch
import timm
import torch
from torch import nn
from torch.nn import functional

TOLERANCE = 1e-5
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, act):
        super().__init__()
        self.act = act
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if inputs != outputs:
            self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        h = self.act(self.bn1(x))
        shortcut = self.convShortcut(h) if hasattr(self, "convShortcut") else x
        return shortcut + self.conv2(self.act(self.bn2(self.conv1(h))))


class Stage(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    """As in the reference implementations of adversarial training."""

    def __init__(self, depth, width, classes, act, channels=3):
        super().__init__()
        each = (depth - 4) // 6
        sides = [16, 16 * width, 32 * width, 64 * width]
        self.act = act
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        for i, stride in ((1, 1), (2, 2), (3, 2)):
            blocks = [
                Block(sides[i - 1] if j == 0 else sides[i], sides[i], stride if j == 0 else 1, act)
                for j in range(each)
            ]
            setattr(self, f"block{i}", Stage(*blocks))
        self.bn1 = nn.BatchNorm2d(sides[3])
        self.fc = nn.Linear(sides[3], classes)

    def forward(self, x):
        h = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(functional.adaptive_avg_pool2d(self.act(self.bn1(h)), 1).flatten(1))


def normalised(x):
    shape = (1, 3, 1, 1)
    return (x - torch.tensor(MEAN).view(shape)) / torch.tensor(STD).view(shape)


@torch.no_grad()
def trained(net):
    """Statistics of the layers' own inputs, and nothing at 0 or 1."""
    for name, weight in net.named_parameters():
        if weight.ndim == 1:
            weight.add_(torch.rand_like(weight) * 0.4 - 0.2)
        if name.endswith("gamma"):
            weight.add_(0.3)
    net.train()
    for _ in range(5):
        net(normalised(torch.rand(16, 3, 32, 32)))
    return net.eval()


def onnx_logits(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def main(lapidary):
    torch.manual_seed(0)
    folder = pathlib.Path(tempfile.mkdtemp())
    worst = 0.0

    def convert(*arguments):
        subprocess.run([lapidary, "convert", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    def compare(what, given, wanted, tolerance=TOLERANCE):
        nonlocal worst
        error = (given - wanted).abs().max().item() / max(1, wanted.abs().max().item())
        print(f"  {what:<34} {error:.1e}")
        assert error <= tolerance, f"{what}: logits differ by {error}"
        if tolerance == TOLERANCE:
            worst = max(worst, error)

    cases = (
        ("WRN-10-1, ReLU", lambda: WideResNet(10, 1, 10, functional.relu), "relu", True),
        ("WRN-16-2, SiLU, averaged, before 1.6", lambda: WideResNet(16, 2, 7, functional.silu), "silu", False),
        ("timm resnet50", lambda: timm.create_model("resnet50", num_classes=10), None, True),
        ("timm convnext_tiny", lambda: timm.create_model("convnext_tiny", num_classes=10), None, True),
    )
    for name, make, activation, plain in cases:
        print(name)
        net = trained(make())
        before, after, exported = (folder / part for part in ("in.pth", "out.safetensors", "out.onnx"))
        if plain:
            torch.save(net.state_dict(), before)
        else:
            averaged = nn.DataParallel(torch.optim.swa_utils.AveragedModel(net))
            state = {"epoch": 3, "model_state_dict": {}, "ema_state_dict": averaged.state_dict()}
            torch.save(state, before, _use_new_zipfile_serialization=False)
        options = ["--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD))]
        convert(before, after, *options, *(["--activation", activation] if activation else []))
        convert(after, exported)
        images = torch.rand(5, 3, 64, 64)
        with torch.no_grad():
            wanted = net(normalised(images))
            again = make().eval()
            again.load_state_dict(safetensors.torch.load_file(after), strict=True)
            compare("PyTorch", again(normalised(images)), wanted)
            again = make().eval()
            timm.models.load_checkpoint(again, str(after), strict=True)
            compare("timm", again(normalised(images)), wanted)
        compare("ONNX Runtime", onnx_logits(exported, images), wanted)
        compare("ONNX Runtime, one image", onnx_logits(exported, images[:1]), wanted[:1])
        convert(after, exported, "--f16")
        compare("ONNX Runtime, half precision", onnx_logits(exported, images), wanted, 0.01)
    shutil.rmtree(folder)
    print(f"round trip: the largest difference is {worst:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])
