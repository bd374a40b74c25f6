"""Runs AutoAttack's own code and torchattacks' PGD in PyTorch on the same weights and images as `lapidary attack`, and compares.

    python robustness.py LAPIDARY [IMAGES] [--only robust|plain] [--norm L2|Linf] [--keep FOLDER]

LAPIDARY is the path of the built program. For the robust and the plain network of this repository (data/fashion-demo, data/fashion-plain) and
IMAGES (200) of the embedded test images, those that `lapidary attack` draws: robust accuracy under standard AutoAttack and
accuracy under PGD of 50 steps of eps/8 from the images themselves, in L2 (eps 0.5) and Linf (eps 8/255). Under AutoAttack the two
sides have to agree within one percentage point, under PGD within half of one. The images that `lapidary attack` broke are also
shown to PyTorch's network: each must be misclassified there too, inside the ball and in [0, 1].

pyautoattack 0.2.0 is the authors' code as a package: its attacks, projections and checks differ from theirs in imports and
messages alone. torchattacks 3.5.1 has the PGD. FOLDER keeps what either side has done, so that an interrupted comparison
goes on where it was.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

import numpy
import pyautoattack
import safetensors.torch
import torch
import torchattacks
from safetensors import safe_open
from torch.nn import functional

from round_trip import WideResNet

ROOT = pathlib.Path(__file__).resolve().parents[2]
NETWORKS = {"robust": "data/fashion-demo", "plain": "data/fashion-plain"}
BALLS = {"L2": (0.5, "0.5"), "Linf": (8 / 255, "8/255")}
WITHIN_AUTOATTACK, WITHIN_PGD = 0.01, 0.005


class Normalised(torch.nn.Module):
    """The network of a checkpoint, with its normalisation in front."""

    def __init__(self, path):
        super().__init__()
        with safe_open(path, "pt") as file:
            about = {key.removeprefix("lapidary."): text for key, text in file.metadata().items()}
        numbers = lambda key: torch.tensor(json.loads(about[key])).view(1, -1, 1, 1)
        self.register_buffer("mean", numbers("mean"))
        self.register_buffer("std", numbers("std"))
        act = {"relu": functional.relu, "silu": functional.silu}[about["act"]]
        depth, width, classes = (int(about[key]) for key in ("depth", "widen", "classes"))
        self.net = WideResNet(depth, width, classes, act, int(about["channels"]))
        self.net.load_state_dict(safetensors.torch.load_file(path), strict=False)
        self.eval()

    def forward(self, x):
        return self.net((x - self.mean) / self.std)


def test_images():
    """As the program prepares them: 28 pixels, padded to 32, in means of four."""
    folder = ROOT / "data/fashion-mnist-cut"
    read = lambda name: gzip.decompress((folder / name).read_bytes())
    pixels = numpy.frombuffer(read("t10k-images-idx3-ubyte.gz")[16:], numpy.uint8).reshape(-1, 28, 28)
    labels = numpy.frombuffer(read("t10k-labels-idx1-ubyte.gz")[8:], numpy.uint8)
    padded = numpy.pad(pixels.astype(numpy.float32), ((0, 0), (2, 2), (2, 2)))
    small = padded.reshape(-1, 16, 2, 16, 2).sum((2, 4)) / (4 * 255)
    return torch.from_numpy(small[:, None].copy()), torch.from_numpy(labels.astype(numpy.int64))


@torch.no_grad()
def right(net, images, labels):
    return net(images).argmax(1) == labels


def ours(lapidary, checkpoint, norm, eps, count, state, *options):
    if state:
        options += ("--state", f"{state}.json")
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "found.safetensors"
        command = [lapidary, "attack", str(ROOT / checkpoint), "--norm", norm, "--eps", eps, "--count", str(count)]
        command += ["--json", "--quiet", "--out", str(out), *options]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        return json.loads(answer), safetensors.torch.load_file(out)["images"]


def theirs(net, attack, norm, eps, images, labels, kept):
    """The attacked images, and the seconds they took."""
    kept = pathlib.Path(f"{kept}.safetensors") if kept else None
    if kept and kept.exists():
        before = safetensors.torch.load_file(kept)
        return before["images"], before["seconds"].item()
    began = time.time()
    if attack == "AutoAttack":
        peer = pyautoattack.AutoAttack(net, norm=norm, eps=eps, seed=0, device="cpu")
        attacked = peer.run_standard_evaluation(images, labels, batch_size=200)
        attacked = attacked[0] if isinstance(attacked, tuple) else attacked
    else:
        make = torchattacks.PGDL2 if norm == "L2" else torchattacks.PGD
        attacked = make(net, eps=eps, alpha=eps / 8, steps=50, random_start=False)(images, labels)
    seconds = time.time() - began
    if kept:
        safetensors.torch.save_file({"images": attacked.contiguous(), "seconds": torch.tensor(seconds)}, kept)
    return attacked, seconds


def distances(norm, a, b):
    moves = (a - b).flatten(1)
    return moves.norm(dim=1) if norm == "L2" else moves.abs().amax(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lapidary")
    parser.add_argument("images", nargs="?", type=int, default=200)
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--norm", choices=BALLS)
    parser.add_argument("--keep")
    args = parser.parse_args()
    all_images, all_labels = test_images()
    print(f"PyTorch {torch.__version__}, pyautoattack {version('pyautoattack')}, "
          f"torchattacks {version('torchattacks')}; {args.images} images")
    print(f"{'network':<8} {'norm':<5} {'attack':<11} {'ours':>7} {'peer':>7} {'differ':>7}   {'clean':>6}  seconds, ours and peer")
    failed = False
    for name, checkpoint in NETWORKS.items():
        if args.only not in (None, name):
            continue
        net = Normalised(str(ROOT / checkpoint / "model.safetensors"))
        for norm, (eps, text) in BALLS.items():
            if args.norm not in (None, norm):
                continue
            for attack, tolerance in (("AutoAttack", WITHIN_AUTOATTACK), ("PGD-50", WITHIN_PGD)):
                options = [] if attack == "AutoAttack" else ["--version", "custom", "--attacks", "pgd"]
                state = args.keep and pathlib.Path(args.keep) / f"{name}-{norm}-{attack}"
                found, adversarial = ours(args.lapidary, checkpoint, norm, text, args.images, state, *options)
                places = torch.tensor(found["places"])
                images, labels = all_images[places], all_labels[places]
                clean = right(net, images, labels)
                attacked, seconds = theirs(net, attack, norm, eps, images, labels, state)
                standing = right(net, attacked, labels) & clean
                robust = torch.tensor([point == "robust" for point in found["points"]])
                a, b = robust.float().mean().item(), standing.float().mean().item()
                differ = (robust != standing).sum().item()
                # What is broken is broken in PyTorch too, and allowed.
                wrong_there = (right(net, adversarial, labels) & ~robust).sum().item()
                furthest = distances(norm, adversarial, images).max().item()
                allowed = furthest <= eps * (1 + 1e-5) and 0 <= adversarial.min() and adversarial.max() <= 1
                good = abs(a - b) <= tolerance + 1e-9 and wrong_there <= 1 and allowed
                failed |= not good
                print(f"{name:<8} {norm:<5} {attack:<11} {100 * a:6.1f}% {100 * b:6.1f}% {differ:>7}   "
                      f"{100 * found['clean_accuracy']:5.1f}%  {found['seconds']:.0f} and {seconds:.0f}"
                      f"{'' if good else '   FAILED'}"
                      f"{f'   ({wrong_there} broken images classified correctly in PyTorch)' if wrong_there else ''}", flush=True)
    print("robustness: " + ("FAILED" if failed else "agrees"))
    return failed


if __name__ == "__main__":
    sys.exit(main())
