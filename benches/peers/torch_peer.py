"""Times one network in PyTorch for `lapidary bench --compare torch`; benches/peers/README.md describes its input and output.

    python torch_peer.py MODEL BATCH SIDE [--device cpu|cuda]

MODEL is a wide residual network, wrn-DEPTH-WIDTH; a batch has BATCH images of SIDE rows and columns. On a CPU the variants are
oneDNN's two layouts, on a CUDA device also automatic mixed precision; TF32 is off.
"""

import argparse
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F

# A measurement takes at least so many seconds.
SECONDS = 0.2
EPS, STEP_SIZE = 0.5, 0.1


class Block(torch.nn.Module):
    """A pre-activation block."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = torch.nn.BatchNorm2d(inputs)
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(outputs)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        same = inputs == outputs
        self.shortcut = None if same else torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        h = F.relu(self.bn1(x), inplace=False)
        shortcut = x if self.shortcut is None else self.shortcut(h)
        h = self.conv1(h)
        return self.conv2(F.relu(self.bn2(h), inplace=True)) + shortcut


class WideResNet(torch.nn.Module):
    def __init__(self, depth, width, channels=3, classes=10):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        blocks, inputs = [], 16
        for stage, stride in enumerate([1, 2, 2]):
            outputs = (16 * width) << stage
            for j in range((depth - 4) // 6):
                blocks.append(Block(inputs, outputs, stride if j == 0 else 1))
                inputs = outputs
        self.blocks = torch.nn.Sequential(*blocks)
        self.bn1 = torch.nn.BatchNorm2d(inputs)
        self.fc = torch.nn.Linear(inputs, classes)

    def forward(self, x):
        h = F.relu(self.bn1(self.blocks(self.conv1(x))))
        return self.fc(h.mean(dim=(2, 3)))


class Step:
    """A PGD step in the L2 ball, with frozen statistics: forward, the image's gradient alone, step, projection."""

    def __init__(self, peer, variant):
        depth, width = (int(number) for number in peer.model.split("-")[1:])
        torch.manual_seed(0)
        self.layout, self.amp = peer.layout(variant), variant == "amp"
        self.device = peer.device
        self.net = WideResNet(depth, width).eval().to(self.device, memory_format=self.layout)
        self.net.requires_grad_(False)
        count = peer.batch * 3 * peer.side * peer.side
        images = torch.arange(count, device=self.device) % 97 / 96
        images = images.reshape(peer.batch, 3, peer.side, peer.side)
        self.origin = images.to(memory_format=self.layout)
        self.x = self.origin.clone(memory_format=torch.preserve_format)
        self.labels = torch.arange(peer.batch, device=self.device) % 10

    def __call__(self):
        x = self.x.detach().requires_grad_()
        with torch.autocast(self.device, dtype=torch.float16, enabled=self.amp):
            loss = F.cross_entropy(self.net(x), self.labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        with torch.no_grad():
            length = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            d = x + STEP_SIZE * gradient / (length + 1e-10) - self.origin
            length = d.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            d = d * (EPS / (length + 1e-7)).clamp(max=1)
            self.x = (self.origin + d).clamp(0, 1)


def layer(peer, variant, what, images, channels, side):
    """One 3x3 convolution of stride 1, or one of its two derivatives."""
    layout, amp = peer.layout(variant), variant == "amp"
    kind = torch.float16 if amp else torch.float32
    make = lambda *shape: torch.randn(*shape, device=peer.device, dtype=kind)
    x = make(images, channels, side, side).to(memory_format=layout)
    dy = make(images, channels, side, side).to(memory_format=layout)
    w = make(channels, channels, 3, 3).to(memory_format=layout)
    if what == "forward":
        return lambda: F.conv2d(x, w, padding=1)
    mask = [what == "image-gradient", what == "weight-gradient", False]

    def backward():
        return torch.ops.aten.convolution_backward(
            dy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask
        )

    return backward


class Peer:
    def __init__(self, arguments):
        self.model, self.batch, self.side = arguments.model, arguments.batch, arguments.side
        self.device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        self.variants = ["channels_last", "nchw"] + (["amp"] if self.device == "cuda" else [])
        self.made = {}

    def layout(self, variant):
        return torch.contiguous_format if variant == "nchw" else torch.channels_last

    def described(self):
        name = f"CPU, {torch.get_num_threads()} threads"
        if self.device == "cuda":
            name = torch.cuda.get_device_name()
        return {"peer": "torch", "version": torch.__version__, "device": name, "variants": self.variants}

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def repeat(self, task, count):
        self.wait()
        began = time.perf_counter()
        for _ in range(count):
            task()
        self.wait()
        return time.perf_counter() - began

    def time(self, variant, words):
        key = (variant, *words)
        if key not in self.made:
            if words == ["step"]:
                task = Step(self, variant)
            else:
                what, *numbers = words
                task = layer(self, variant, what, *map(int, numbers))
            # Twice: what is chosen or compiled at the first call is no part of the time.
            ready, repeats = self.repeat(task, 2), 1
            while self.repeat(task, repeats) < SECONDS and repeats < 4096:
                repeats *= 2
            self.made[key] = task, repeats, ready
        task, repeats, ready = self.made[key]
        return {"ms": self.repeat(task, repeats) * 1e3 / repeats, "ready_seconds": ready}

    def memory(self):
        if self.device == "cuda":
            return {"bytes": torch.cuda.max_memory_allocated()}
        return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model")
    arguments.add_argument("batch", type=int)
    arguments.add_argument("side", type=int)
    arguments.add_argument("--device", choices=["cpu", "cuda"])
    peer = Peer(arguments.parse_args())
    tell = lambda what: print(json.dumps(what), flush=True)
    tell(peer.described())
    for line in sys.stdin:
        command, *words = line.split()
        try:
            tell(peer.memory() if command == "memory" else peer.time(words[0], words[1:]))
        except Exception as error:
            tell({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
