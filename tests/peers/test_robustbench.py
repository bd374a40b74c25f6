"""Runs RobustBench's own `benchmark` on `lapidary.torch.wrap` and compares it with `Model.autoattack`: `pytest
tests/peers/test_robustbench.py`, with torch, robustbench, pyautoattack and what robustbench imports.

LAPIDARY_BENCHMARK_IMAGES (40) is how many images both run on.
"""

import os
import pathlib
import sys
import types

import pyautoattack
import pyautoattack.state
import pytest
import torch

import lapidary
import lapidary.torch

ROOT = pathlib.Path(__file__).resolve().parents[2]


class AutoAttack(pyautoattack.AutoAttack):
    """The authors' code under the names by which RobustBench calls it. The package that it asks PyPI for, pyautoattack, is that code with
    another name of its module, of one argument and of none for a log."""

    def __init__(self, model, *, log_path=None, **settings):
        super().__init__(model, seed=0, **settings)

    def run_standard_evaluation(self, images, labels, bs=250, state_path=None):
        return super().run_standard_evaluation(images, labels, batch_size=bs, state_path=state_path)[0]


@pytest.fixture(scope="module")
def robustbench():
    named = types.ModuleType("autoattack")
    named.AutoAttack = AutoAttack
    sys.modules.update({"autoattack": named, "autoattack.state": pyautoattack.state})
    return pytest.importorskip("robustbench")


def test_its_benchmark_comes_to_what_autoattack_does(robustbench, monkeypatch):
    from robustbench import data
    from robustbench.model_zoo.enums import BenchmarkDataset

    count = int(os.environ.get("LAPIDARY_BENCHMARK_IMAGES", 40))
    model = lapidary.load(ROOT / "data/fashion-demo/model.safetensors")
    images, labels, _ = lapidary.data.fashion(side=model.side)
    images, labels = images[:count], labels[:count]

    def ours(wanted, folder, preparation):
        assert wanted == count
        return torch.from_numpy(images), torch.from_numpy(labels)

    # In place of CIFAR-10, which it would download: its attacks and counts know no names of classes.
    monkeypatch.setitem(data._clean_dataset_loaders, BenchmarkDataset.cifar_10, ours)
    wrapped = lapidary.torch.wrap(model, batch_size=count)
    clean, robust = robustbench.benchmark(
        wrapped, n_examples=count, dataset="cifar10", threat_model="Linf", eps=8 / 255, batch_size=count
    )
    result = model.autoattack(images, labels, norm="Linf", eps=8 / 255)
    print(f"{count} images: benchmark {clean:.4f} and {robust:.4f}, lapidary {result.clean_accuracy:.4f} and {result.robust_accuracy:.4f}")
    assert clean == pytest.approx(result.clean_accuracy, abs=1e-6)
    # Their random starts are not ours: a point may stand on one side only.
    assert abs(robust - result.robust_accuracy) <= max(0.01, 1 / count) + 1e-6
