"""Tests networks that are loaded from checkpoint files and PyTorch state dicts: their logits and image gradients equal PyTorch's,
and their methods agree with each other, for every batch size and from several threads. Also tests the choice and the loss of a
device, calls after a fork, and how much time Python adds to a call."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import golden
import lapidary

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def load(case: golden.Case) -> lapidary.Model:
    told = case.params["model"]
    channels = case.tensors["in.x"].shape[1]
    mean, std = told.get("mean") or [0.0] * channels, told.get("std") or [1.0] * channels
    activation = {"swish": "silu"}.get(told.get("act"), told.get("act"))
    return lapidary.load(case.weights, mean=mean, std=std, activation=activation)


@pytest.mark.parametrize("name", golden.cases())
def test_networks_are_pytorchs(name: str) -> None:
    case = golden.case(name)
    model = load(case)
    # Of these images some values may lie outside of [0, 1]: what torch.wrap takes.
    x, y = case.tensors["in.x"], case.tensors["in.labels"]
    logits = model._forward(x, 64)
    case.check("out.logits", logits)
    rows = np.arange(len(y))
    joint = np.zeros_like(logits)
    joint[rows, y] = 1
    case.check("grad.x.joint", model._backward(x, joint, 64))
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    case.check("grad.x.logsumexp", model._backward(x, chances, 64))
    case.check("grad.x.ce", model._backward(x, (chances - joint) / len(y), 64))


def test_named_gradients_are_those_of_their_factors(model: lapidary.Model, x: Images, y: Labels) -> None:
    logits = model.logits(x)
    picked = np.eye(10, dtype=np.float32)[y]
    chances = np.exp(logits - model.log_sum_exp(x)[:, None])
    for of, factors in [("logit", picked), ("log-sum-exp", chances), ("cross-entropy", chances - picked)]:
        wanted = model._backward(x, factors, 64)
        np.testing.assert_allclose(model.input_gradient(x, y, of=of), wanted, rtol=1e-3, atol=1e-4)
    assert np.any(model.input_gradient(x, y, of="margin"))


def test_energies_are_those_of_the_logits(model: lapidary.Model, x: Images, y: Labels) -> None:
    logits = model.logits(x).astype(np.float64)
    marginal = -np.log(np.exp(logits).sum(1))
    np.testing.assert_allclose(model.energy(x), marginal, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.log_sum_exp(x), -marginal, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.energy(x, y), -model.logits(x)[np.arange(16), y])
    np.testing.assert_array_equal(model.predict(x), logits.argmax(1))


def test_batches_change_nothing(model: lapidary.Model, fashion: lapidary.data.Labelled) -> None:
    x = fashion.images[:37]
    np.testing.assert_allclose(model.logits(x, batch_size=8), model.logits(x), rtol=1e-5, atol=1e-5)


def test_a_state_dict_is_a_network(tmp_path: Path, model: lapidary.Model, x: Images) -> None:
    mean, std = model.normalisation or ([], [])
    weights = {f"module.{name}": value for name, value in model.state_dict().items()}
    weights["module.bn.num_batches_tracked"] = np.zeros((), np.float32)
    again = lapidary.from_state_dict(
        weights, mean=mean, std=std, activation="relu", side=model.side, class_names=model.class_names
    )
    np.testing.assert_array_equal(again.logits(x), model.logits(x))
    assert again.class_names == model.class_names
    file = tmp_path / "again.safetensors"
    again.save(file)
    np.testing.assert_array_equal(lapidary.load(file).logits(x), model.logits(x))
    again.export_onnx(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").stat().st_size > 10_000
    # Half precision keeps about three digits.
    again.save(tmp_path / "half.safetensors", half=True)
    np.testing.assert_allclose(lapidary.load(tmp_path / "half.safetensors").logits(x), model.logits(x), atol=0.05)


def test_what_replaces_the_files_own_is_said(model: lapidary.Model, x: Images) -> None:
    with pytest.warns(UserWarning, match="says relu; activation=\"silu\" is taken") as told:
        other = lapidary.load("builtin:fashion-demo", activation="silu")
    assert len(told) == 1 and any("is taken instead" in note for note in other.notes)
    assert not np.allclose(other.logits(x), model.logits(x))
    with pytest.warns(UserWarning, match=r"mean= and std= are taken"):
        lapidary.load("builtin:fashion-demo", mean=[0.0], std=[1.0])
    mean, std = model.normalisation or ([], [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = lapidary.load("zoo:fashion-demo", mean=mean, std=std, activation="relu")
    np.testing.assert_array_equal(same.logits(x), model.logits(x))


def test_an_architecture_does_not_stand_for_an_activation(model: lapidary.Model) -> None:
    with pytest.raises(lapidary.BadFile, match="activation="):
        lapidary.from_state_dict(model.state_dict(), architecture="wrn", mean=[0.0], std=[1.0])
    with pytest.raises(lapidary.BadFile, match="mean="):
        lapidary.from_state_dict(model.state_dict(), architecture="wrn", activation="relu")


def test_a_network_of_pytorchs_exporter_is_read() -> None:
    folder = golden.FOLDER / "onnx"
    _, wanted = golden.read(folder / "onnx.safetensors")
    model = lapidary.load(folder / "resnet18_script_13.onnx")
    logits = wanted["resnet18_script_13.logits"]
    given = model.logits(wanted["resnet18_script_13.images"])
    np.testing.assert_allclose(given, logits, rtol=0, atol=1e-5 * np.abs(logits).max())


def test_a_table_of_pictures_is_read() -> None:
    images, labels, names = lapidary.data.load(golden.FOLDER / "tables/texts.parquet", part="train", side=8)
    assert (images.shape, labels.tolist(), names) == ((6, 3, 8, 8), [0, 1, 2, 0, 1, 2], ["ant", "bee", "cat"])


def test_several_threads_use_one_model(model: lapidary.Model, x: Images) -> None:
    wanted = model.logits(x)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(model.logits(x))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8
    for logits in found:
        np.testing.assert_array_equal(logits, wanted)


def test_a_lost_device_is_opened_again(x: Images) -> None:
    # Alone in its process: all models of a device lose it.
    script = """
import lapidary, numpy as np
model = lapidary.load("builtin:fashion-demo")
x = np.full((2, 1, 16, 16), 0.5, np.float32)
before = model.logits(x)
model._lose_device()
try:
    model.logits(x)
    raise SystemExit("the loss went unnoticed")
except lapidary.DeviceLost as error:
    assert "a test says so" in str(error), error
assert (model.logits(x) == before).all()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.parametrize("asked", [{"LAPIDARY_ADAPTER": "gl:"}, {"WGPU_BACKEND": "vulkan,gl"}])
def test_a_listed_device_is_the_one_that_is_opened(asked: dict[str, str]) -> None:
    # Interfaces that list the same processor: OpenGL's is not to be Vulkan's.
    script = """
import lapidary, sys
try:
    devices = lapidary.devices()
except lapidary.NoAdapter:
    sys.exit(3)
if "Gl" not in {device.backend for device in devices}:
    sys.exit(3)
for number, device in enumerate(devices):
    for given in (device, number):
        opened = lapidary.load("builtin:fashion-demo", device=given).device
        assert (opened.backend, opened.name, opened.driver) == (device.backend, device.name, device.driver), (given, opened)
if len(devices) == 1:
    assert lapidary.load("builtin:fashion-demo", device=devices[0].name).device.backend == "Gl"
"""
    kept = {key: value for key, value in os.environ.items() if key not in ("LAPIDARY_ADAPTER", "WGPU_BACKEND")}
    done = subprocess.run([sys.executable, "-c", script], env={**kept, **asked}, capture_output=True, text=True, timeout=300)
    if done.returncode == 3:
        pytest.skip("no adapter of OpenGL here")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_is_refused_in_words() -> None:
    script = """
import lapidary, os, numpy as np, sys
model = lapidary.load("builtin:fashion-demo")
x = np.full((2, 1, 16, 16), 0.5, np.float32)
model.logits(x)
child = os.fork()
if child == 0:
    try:
        model.logits(x)
    except lapidary.Error as error:
        os._exit(7 if "forked" in str(error) and "spawn" in str(error) else 8)
    os._exit(9)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 7


def test_the_call_costs_what_the_library_takes(model: lapidary.Model, fashion: lapidary.data.Labelled) -> None:
    x = np.tile(fashion.images[:256], (4, 1, 1, 1))
    assert len(x) == 1024
    model.logits(x)
    library, call = [], []
    # In turn, and the best of many of each: other programs share the processor, and a busy one takes more rounds.
    for rounds in range(1, 101):
        library.append(model._seconds_of_logits(x, 64))
        began = time.perf_counter()
        model.logits(x)
        call.append(time.perf_counter() - began)
        if rounds >= 25 and min(call) < 1.05 * min(library):
            break
    assert min(call) < 1.05 * min(library), (call, library)
