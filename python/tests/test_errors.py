"""Tests wrong calls: each raises an exception of the package with a text that helps, and none crashes or hangs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import golden
import lapidary

X = np.full((4, 1, 16, 16), 0.5, np.float32)
Y = np.zeros(4, np.int64)


def filled(shape: tuple[int, ...], value: float = 0.5, dtype: Any = np.float32) -> Any:
    return np.full(shape, value, dtype)


def at(place: tuple[int, ...], value: float) -> Any:
    made = X.copy()
    made[place] = value
    return made


class NoArray:
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("it is on another device")


# What is no image: for every method that takes some. The words are part of the message.
IMAGES: dict[str, tuple[Any, str]] = {
    "none": (None, "NoneType"),
    "text": ("x", "str"),
    "bytes": (b"x", "bytes"),
    "number": (1.5, "float"),
    "dict": ({}, "dict"),
    "set": ({1}, "set"),
    "ragged": ([[1, 2], [3]], "list"),
    "raises": (NoArray(), "another device"),
    "0-d": (np.float32(0.5), r"\(\)"),
    "1-d": (filled((16,)), r"\(16,\)"),
    "2-d": (filled((16, 16)), r"\(16, 16\)"),
    "3-d": (filled((1, 16, 16)), r"x\[None\]"),
    "5-d": (filled((1, 1, 1, 16, 16)), r"\(1, 1, 1, 16, 16\)"),
    "empty": (filled((0, 1, 16, 16)), "1 or more"),
    "no channels": (filled((1, 0, 16, 16)), r"\(1, 0, 16, 16\)"),
    "no side": (filled((1, 1, 0, 0)), r"\(1, 1, 0, 0\)"),
    "channels": (filled((1, 3, 16, 16)), r"\[N, 1, 16, 16\]"),
    "channels last": (filled((1, 16, 16, 1)), "nhwc"),
    "side": (filled((1, 1, 32, 32)), r"\[N, 1, 16, 16\]"),
    "oblong": (filled((1, 1, 16, 32)), r"\(1, 1, 16, 32\)"),
    "bool": (filled((1, 1, 16, 16), 1, np.bool_), "bool"),
    "int64": (filled((1, 1, 16, 16), 1, np.int64), "int64"),
    "complex": (filled((1, 1, 16, 16), 1, np.complex64), "complex64"),
    "object": (filled((1, 1, 16, 16), 1, object), "object"),
    "strings": (np.full((1, 1, 16, 16), "a"), "<U1"),
    "dates": (np.zeros((1, 1, 16, 16), "datetime64[s]"), "datetime64"),
    "records": (np.zeros((1, 1, 16, 16), [("a", "f4")]), "a"),
    "above 1": (at((2, 0, 3, 3), 1.5), "up to 1.5"),
    "of 0 to 255": (filled((1, 1, 16, 16), 200), "uint8"),
    "below 0": (at((2, 0, 3, 3), -0.25), "-0.25 in image 2"),
    "NaN": (at((3, 0, 0, 0), np.nan), "NaN in image 3"),
    "infinite": (at((1, 0, 0, 0), np.inf), "inf in image 1"),
}

# What is no labels for four images.
LABELS: dict[str, tuple[Any, str]] = {
    "none": (None, "labels"),
    "text": ("cat", "str"),
    "0-d": (np.int64(1), r"\(\)"),
    "too few": (np.zeros(3, int), r"\(4,\)"),
    "too many": (np.zeros(5, int), r"\(4,\)"),
    "2-d": (np.zeros((4, 1), int), r"\(4, 1\)"),
    "floats": (np.zeros(4), "float64"),
    "bools": (np.zeros(4, bool), "bool"),
    "objects": (np.array([0, 1, None, 2]), "object"),
    "negative": (np.array([0, 0, -1, 0]), "-1 for image 2"),
    "beyond": (np.array([0, 10, 0, 0]), "10 for image 1"),
    "huge": (np.array([0, 0, 0, 2**40]), "1099511627776 for image 3"),
}

M = lapidary.Model


def images(value: Any) -> Callable[[M], Any]:
    return lambda model: model.logits(value)


def labels(value: Any) -> Callable[[M], Any]:
    return lambda model: model.attack(X, value)


CALLS: dict[str, tuple[Callable[[M], Any], str]] = {
    **{f"logits: {name}": (images(value), words) for name, (value, words) in IMAGES.items()},
    **{f"attack: labels {name}": (labels(value), words) for name, (value, words) in LABELS.items()},
    "predict: NaN": (lambda m: m.predict(at((0, 0, 0, 0), np.nan)), "NaN"),
    "energy: labels": (lambda m: m.energy(X, [1, 2, 3, 99]), "99"),
    "gradient: no labels": (lambda m: m.input_gradient(X), "a class for each image"),
    "gradient: of": (lambda m: m.input_gradient(X, Y, of="loss"), "cross-entropy"),
    "layout": (lambda m: m.logits(X, layout="hwcn"), "nhwc"),
    "layout: nhwc of nchw": (lambda m: m.logits(X, layout="nhwc"), r"\[N, 16, 16, 1\]"),
    "batch size 0": (lambda m: m.logits(X, batch_size=0), "1 to 65535"),
    "batch size huge": (lambda m: m.logits(X, batch_size=2**20), "1 to 65535"),
    "norm": (lambda m: m.attack(X, Y, norm="L1"), "Linf"),
    "eps 0": (lambda m: m.attack(X, Y, eps=0.0), "above 0"),
    "eps negative": (lambda m: m.autoattack(X, Y, eps=-1.0), "above 0"),
    "eps NaN": (lambda m: m.attack(X, Y, eps=float("nan")), "above 0"),
    "eps infinite": (lambda m: m.attack(X, Y, eps=float("inf")), "finite"),
    "eps of 0 to 255": (lambda m: m.autoattack(X, Y, eps=8.0), "8/255"),
    "steps 0": (lambda m: m.attack(X, Y, steps=0), "1 or more"),
    "step size 0": (lambda m: m.attack(X, Y, step_size=0.0), "above 0"),
    "restarts 0": (lambda m: m.attack(X, Y, restarts=0), "at least 1"),
    "loss": (lambda m: m.attack(X, Y, loss="hinge"), "dlr"),
    "momentum": (lambda m: m.attack(X, Y, momentum=2.0), "momentum"),
    "version": (lambda m: m.autoattack(X, Y, version="fast"), "standard, plus"),
    "attacks without custom": (lambda m: m.autoattack(X, Y, attacks=["square"]), "custom"),
    "custom without attacks": (lambda m: m.autoattack(X, Y, version="custom"), "at least one"),
    "attack's name": (lambda m: m.autoattack(X, Y, version="custom", attacks=["bim"]), "apgd-ce"),
    "steps for no steps": (lambda m: m.autoattack(X, Y, version="custom", attacks=["square"], steps=5), "steps= for square"),
    "restarts for none": (lambda m: m.autoattack(X, Y, version="custom", attacks=["fab-t"], restarts=5), "one of apgd-ce"),
    "targets for none": (lambda m: m.autoattack(X, Y, version="rand", targets=5), "apgd-t, fab-t"),
    "queries for none": (lambda m: m.autoattack(X, Y, version="rand", queries=5), "square among"),
    "queries 0": (lambda m: m.autoattack(X, Y, queries=0), "at least 1"),
    "state is no state": (lambda m: m.autoattack(X, Y, state=__file__), "test_errors.py"),
    "state in no folder": (lambda m: m.autoattack(X, m.predict(X), version="custom", attacks=["pgd"], state="/nowhere/s"), "nowhere"),
    "sample: class": (lambda m: m.sample(10), "0 to 9"),
    "sample: name": (lambda m: m.sample("dog"), "T-shirt"),
    "sample: names": (lambda m: m.sample(["bag", "dog"]), '"dog"'),
    "sample: none": (lambda m: m.sample([]), "at least one"),
    "sample: float": (lambda m: m.sample(1.5), "float"),
    "sample: step size": (lambda m: m.sample(1, step_size=float("nan")), "finite"),
    "sample: start": (lambda m: m.sample([1, 2], start=X), "one a sample"),
    "sample: start and seed": (lambda m: m.sample([1] * 4, start=X, seed=1), "no seed="),
    "sample: start's size": (lambda m: m.sample(1, start=filled((1, 3, 16, 16))), "16"),
    "sample: start's name": (lambda m: m.sample(1, start="builtin:cats"), "builtin:fractal"),
    "explain: target": (lambda m: m.explain(X, 11), "0 to 9"),
    "explain: targets": (lambda m: m.explain(X, [1, 2]), "one class"),
    "explain: eps": (lambda m: m.explain(X, 1, eps=-1.0), "radius -1"),
    "explain: NaN": (lambda m: m.explain(at((0, 0, 0, 0), np.nan), 1), "NaN"),
    "load: nothing there": (lambda m: lapidary.load("/nowhere/x.pth"), "/nowhere/x.pth"),
    "load: no checkpoint": (lambda m: lapidary.load(__file__), "test_errors.py"),
    "load: an empty folder": (lambda m: lapidary.load(Path(__file__).parent), "neither"),
    "load: mean alone": (lambda m: lapidary.load("builtin:fashion-demo", mean=[0.5]), "both"),
    "load: mean of bytes": (lambda m: lapidary.load("builtin:fashion-demo", mean=[127.0], std=[60.0]), "0 to 255"),
    "load: mean of colours": (lambda m: lapidary.load("builtin:fashion-demo", mean=[0.5] * 3, std=[0.5] * 3), "for each channel"),
    "load: activation": (lambda m: lapidary.load("builtin:fashion-demo", activation="tanh"), "relu"),
    "load: another's activation": (
        lambda m: lapidary.load(golden.FOLDER / "onnx/resnet18_script_13.onnx", activation="silu"),
        "has relu of its own",
    ),
    "load: no such device": (lambda m: lapidary.load("builtin:fashion-demo", device="no such"), "no such"),
    "load: device's number": (lambda m: lapidary.load("builtin:fashion-demo", device=99), "99"),
    "load: device's type": (lambda m: lapidary.load("builtin:fashion-demo", device=1.5), "Device"),  # type: ignore[arg-type]
    "state dict: a list": (lambda m: lapidary.from_state_dict([1]), "dict"),  # type: ignore[arg-type]
    "state dict: empty": (lambda m: lapidary.from_state_dict({}, mean=[0.0], std=[1.0]), "network"),
    "state dict: texts": (lambda m: lapidary.from_state_dict({"a": "b"}), "state dict"),
    "state dict: some": (lambda m: lapidary.from_state_dict({"conv1.weight": X}, mean=[0.0], std=[1.0]), "network"),
    "save: no folder": (lambda m: m.save("/nowhere/x.safetensors"), "nowhere"),
    "onnx: no folder": (lambda m: m.export_onnx("/nowhere/x.onnx"), "nowhere"),
    "data: nothing there": (lambda m: lapidary.data.load("/nowhere"), "nowhere"),
    "data: part": (lambda m: lapidary.data.fashion("all"), "train"),
    "data: side": (lambda m: lapidary.data.fashion(side=0), "1×0×0"),
    "data: fit": (lambda m: lapidary.data.load("builtin:fashion", fit="zoom"), "crop"),
    "data: builtin": (lambda m: lapidary.data.load("builtin:mnist"), "builtin:fashion"),
    "data: picture": (lambda m: lapidary.data.picture(__file__), "test_errors.py"),
    "data: fractal": (lambda m: lapidary.data.fractal(0), "1 to"),
    "data: fractal's side": (lambda m: lapidary.data.fractal(1, side=100_000), "4096"),
    "fid: widths": (lambda m: lapidary.metrics.fid(filled((8, 3)), filled((8, 4))), "3 features"),
    "fid: NaN": (lambda m: lapidary.metrics.fid(filled((8, 3), np.nan), filled((8, 3))), "finite"),
    "fid: extractor of no images": (
        lambda m: lapidary.metrics.fid(filled((8, 3)), filled((8, 3)), extractor=NoArray()),  # type: ignore[arg-type]
        "extractor=",
    ),
    "fid: images": (lambda m: lapidary.metrics.fid(X, X), "2 dimensions"),
    "fid: no file": (lambda m: lapidary.metrics.fid("/nowhere/real.npz", filled((8, 3))), "/nowhere/real.npz"),
    "statistics: covariance": (
        lambda m: lapidary.metrics.fid(lapidary.metrics.Statistics(np.zeros(3), np.eye(2)), filled((8, 3))),
        "4 covariances",
    ),
    "detection: classes": (lambda m: lapidary.metrics.detection(filled((4, 10)), filled((4, 9))), "9 classes"),
    "hide: eps": (lambda m: m.hide(X, eps=-1.0), "-1"),
    "kid: one row": (lambda m: lapidary.metrics.kid(filled((1, 3)), filled((1, 3))), "at least 2"),
    "precision: rows": (lambda m: lapidary.metrics.precision_recall(filled((3, 3)), filled((3, 3))), "at least 4"),
    "precision: neighbours": (lambda m: lapidary.metrics.precision_recall(X, X, neighbours=0), "1 or more"),
    "inception score": (lambda m: lapidary.metrics.inception_score(filled((0, 10))), "1 or more"),
    "inception score: splits": (lambda m: lapidary.metrics.inception_score(filled((5, 10))), "10 of 5 samples"),
    "ece: labels": (lambda m: lapidary.metrics.ece(filled((4, 10)), [0, 1, 2, 10]), "10 for image 3"),
    "auroc: empty": (lambda m: lapidary.metrics.auroc([], [1.0]), "one or more"),
    "auroc: NaN": (lambda m: lapidary.metrics.auroc([np.nan], [1.0]), "NaN"),
    "extractor: nothing there": (lambda m: lapidary.metrics.Extractor("/nowhere"), "nowhere"),
    "train: preset": (lambda m: lapidary.train("no-such-preset"), "preset"),
    "train: no preset": (lambda m: lapidary.train({}), "preset"),
    "train: key": (lambda m: lapidary.train({"preset": "fashion-tiny", "stage1.iteration": 1}), "stage1.iteration"),
    "train: value": (lambda m: lapidary.train({"preset": "fashion-tiny", "seed": -1}), "seed"),
    "train: type": (lambda m: lapidary.train({"preset": "fashion-tiny", "seed": object()}), "seed"),
    "train: a number": (lambda m: lapidary.train(5), "dict"),  # type: ignore[arg-type]
    "train: no file": (lambda m: lapidary.train("/nowhere/x.toml"), "nowhere"),
    "train: a key twice": (
        lambda m: lapidary.train({"preset": "fashion-tiny", "stage1.batch": 8, "stage1": {"batch": 4}}),
        "each key once",
    ),
    "train: layout alone": (lambda m: lapidary.train("fashion-tiny", layout="nhwc"), "data="),
    "train: names alone": (lambda m: lapidary.train("fashion-tiny", class_names=["a", "b"]), "data="),
    "train: a key with dots before its table": (
        lambda m: lapidary.train({"preset": "fashion-tiny", "stage1.batch": 7_777_777, "stage1": {"steps": 1}}),
        "7777777",
    ),
    "train: plateau": (lambda m: lapidary.train({"preset": "fashion-tiny", "stop.plateau": 3}), "validate.every"),
    "train: test alone": (lambda m: lapidary.train("fashion-tiny", test=(X, Y)), "data="),
    "train: labels": (lambda m: lapidary.train("fashion-tiny", data=(X, [0, 1])), "labels"),
    "run: nothing there": (lambda m: lapidary.Run("/nowhere"), "nowhere"),
}


def test_there_are_a_hundred() -> None:
    assert len(CALLS) >= 100


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_is_told_so(name: str, model: lapidary.Model, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    call, words = CALLS[name]
    with pytest.raises(lapidary.Error, match=words) as raised:
        call(model)
    message = str(raised.value)
    assert 15 < len(message) < 2000 and "panicked" not in message and "this is a bug" not in message
    # What it did left the model as it was.
    assert model.logits(X).shape == (4, 10)


def test_wrong_arguments_of_python_are_type_errors(model: lapidary.Model) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: model.logits(),  # type: ignore[call-arg]
        lambda: model.logits(X, "nchw"),  # type: ignore[call-arg]
        lambda: model.attack(X, Y, steps="many"),  # type: ignore[arg-type]
        lambda: model.attack(X, Y, epsilon=0.5),  # type: ignore[call-arg]
        lambda: lapidary.Model(),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    with pytest.raises(OverflowError):
        model.attack(X, Y, steps=-1)


def test_errors_are_pythons_too() -> None:
    assert issubclass(lapidary.Mismatch, ValueError)
    assert issubclass(lapidary.BadFile, OSError)
    assert issubclass(lapidary.BadConfig, ValueError)
    assert issubclass(lapidary.OutOfMemory, MemoryError)
    with pytest.raises(lapidary.BadFile) as raised:
        lapidary.load("/nowhere/x.pth")
    assert raised.value.path == "/nowhere/x.pth" and "No such file" in raised.value.reason
