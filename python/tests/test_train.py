"""Tests that training from Python gives the same weights as the program `lapidary train`, also when it is stopped and resumed,
and that `Run` reads the folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import golden
import lapidary

# Small enough for a hundred iterations of both stages in seconds.
SMALL: dict[str, Any] = {
    "preset": "fashion-tiny",
    "data": {"side": 8},
    "model": {"depth": 10, "width": 1},
    "stage1": {"iterations": 60, "batch": 16, "steps": 1},
    "stage2": {"iterations": 40, "batch": 8, "steps": 1, "max_T": 2},
    "sample.steps": 2,
    "sample.count": 10,
    "judge.iterations": 2,
    "evaluate": {"steps": 2, "images": 40},
    "validate.every": 0,
}

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def images(count: int, seed: int) -> Arrays:
    """Squares of a shade a class, with noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    noise = random.integers(0, 60, (count, 1, 8, 8))
    return (labels[:, None, None, None] * 60 + noise).astype(np.uint8), labels.astype(np.int64)


def flat(config: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        elif key != "preset":
            yield f"{prefix}{key}={value}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> lapidary.Run:
    return lapidary.train(SMALL, data=images(160, 0), test=images(40, 1), out=tmp_path_factory.mktemp("run") / "run")


def weights(run: Path) -> dict[str, npt.NDArray[Any]]:
    return golden.read(run / "model.safetensors")[1]


def same(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys() and len(first) > 20
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name], err_msg=name)


@pytest.mark.parametrize("precision", ["single", "half-weights", "mixed"])
def test_arrays_train_as_the_programs_files_do(
    run: lapidary.Run, tmp_path: Path, precision: str, model: lapidary.Model
) -> None:
    # Where the device has cooperative matrices, half precision uses them in both.
    program = os.environ.get("LAPIDARY_PROGRAM")
    if program is None:
        pytest.skip("scripts/python builds the program and names it in LAPIDARY_PROGRAM")
    if precision == "mixed" and not model.device.f16:
        pytest.skip("the device has no half precision")
    (x, y), (test_x, test_y) = images(160, 0), images(40, 1)
    config = {**SMALL, "precision": precision}
    if precision != "single":
        run = lapidary.train(config, data=(x, y), test=(test_x, test_y), out=tmp_path / "ours")
    np.savez(tmp_path / "set.npz", x_train=x, y_train=y, x_test=test_x, y_test=test_y)
    changes = [*flat(config), f"data.train={tmp_path / 'set.npz'}"]
    command = [program, "train", "fashion-tiny", "--out", str(tmp_path / "cli"), "--quiet"]
    subprocess.run([*command, *(part for change in changes for part in ("--set", change))], check=True)
    same(Path(run.path), tmp_path / "cli")
    # Every number that training logs, too.
    ours, theirs = run.history, lapidary.Run(tmp_path / "cli").history
    for phase in ("stage1", "stage2"):
        for column in ("loss_ce", "accuracy", "learning_rate"):
            np.testing.assert_array_equal(ours[phase][column], theirs[phase][column])


def test_batches_are_the_arrays(run: lapidary.Run, tmp_path: Path) -> None:
    x, y = images(160, 0)
    batches = ((x[i : i + 32], y[i : i + 32]) for i in range(0, 160, 32))
    same(Path(run.path), Path(lapidary.train(SMALL, data=batches, test=images(40, 1), out=tmp_path / "run").path))


def test_what_stops_it_leaves_it_to_be_gone_on_with(run: lapidary.Run, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    seen: list[lapidary.Progress] = []

    def stop(progress: lapidary.Progress) -> None:
        seen.append(progress)
        if progress.phase == "stage1" and progress.done == 20 and progress.text is None:
            raise Enough

    both: dict[str, Any] = {"data": images(160, 0), "test": images(40, 1), "out": tmp_path / "run"}
    with pytest.raises(Enough):
        lapidary.train(SMALL, callback=stop, **both)
    assert seen[-1].values["loss_ce"] > 0 and seen[-1].total == 60
    assert lapidary.Run(tmp_path / "run").metrics is None
    first: list[float] = []
    lapidary.train(SMALL, callback=lambda p: first.append(p.done) if p.values else None, **both)
    assert first[0] == 21, "it went on where it was stopped"
    same(Path(run.path), tmp_path / "run")
    with pytest.raises(lapidary.BadFile, match="holds a run already"):
        lapidary.train(SMALL, resume=False, **both)
    with pytest.raises(lapidary.BadConfig, match="seed"):
        lapidary.train({**SMALL, "seed": 5}, **both)


def test_a_run_tells_what_it_was(run: lapidary.Run) -> None:
    assert run.config["stage1"]["iterations"] == 60 and run.config["data"]["train"] == "arrays in memory"
    history = run.history
    assert history["stage1"]["iteration"].tolist() == list(range(1, 61))
    assert history["stage2"]["loss_bce"].shape == (40,) and np.isfinite(history["stage2"]["loss_bce"]).all()
    metrics = run.metrics
    assert metrics is not None and 0 <= metrics["clean_accuracy"] <= 1
    assert any("waited for images" in note for note in run.notes)
    model = run.model()
    assert (model.classes, model.channels, model.side) == (4, 1, 8)
    accuracy = (model.predict(images(40, 1)[0]) == images(40, 1)[1]).mean()
    assert accuracy == pytest.approx(metrics["clean_accuracy"])
    page = run._repr_html_()
    assert page.startswith("<iframe") and "data:image/png;base64" in page and "<svg" not in page.split("srcdoc")[0]


def test_labels_that_no_network_learns_are_refused(tmp_path: Path) -> None:
    x, y = images(40, 0)
    with pytest.raises(lapidary.BadFile, match="begin at 1"):
        lapidary.train(SMALL, data=(x, y + 1), test=(x, y), out=tmp_path / "run")
    with pytest.raises(lapidary.BadFile, match="held_out"):
        lapidary.train(SMALL, data=(x, y), out=tmp_path / "other")
    with pytest.raises(lapidary.Mismatch, match="no batches"):
        lapidary.train(SMALL, data=iter(()), out=tmp_path / "none")


def test_pictures_that_are_left_out_are_named(tmp_path: Path) -> None:
    from PIL import Image

    x, y = images(80, 0)
    for number, (pixels, label) in enumerate(zip(x, y)):
        folder = tmp_path / "set" / f"class {label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[0]).save(folder / f"{number:02}.png")
    (tmp_path / "set" / "class 0" / "00.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    short = {**SMALL, "stage1": {**SMALL["stage1"], "iterations": 6}, "stage2": {**SMALL["stage2"], "iterations": 0}}
    short["data"] = {"side": 8, "train": str(tmp_path / "set"), "held_out": 0.2, "max_bad": 4}
    with pytest.warns(UserWarning, match="train: 1 left out.*00.png") as told:
        lapidary.train(short, out=tmp_path / "run")
    assert told[0].filename == __file__


def test_names_and_channels_last(tmp_path: Path) -> None:
    x, y = images(80, 0)
    short = {**SMALL, "stage1": {**SMALL["stage1"], "iterations": 2}, "stage2": {**SMALL["stage2"], "iterations": 0}}
    names = ["a", "b", "c", "d"]
    last = x.transpose(0, 2, 3, 1)
    both: dict[str, Any] = {"data": (last, y), "test": (last, y), "class_names": names, "layout": "nhwc"}
    run = lapidary.train(short, out=tmp_path / "run", **both)
    assert run.model().class_names == names
    again = lapidary.train(short, data=(x, y), test=(x, y), out=tmp_path / "again")
    same(Path(run.path), Path(again.path))
