"""Tests attacks: what they return, that they can be stopped and resumed, and that other Python threads run meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lapidary

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@pytest.mark.parametrize(("norm", "eps"), [("Linf", 0.1), ("L2", 1.5)])
def test_images_move_within_their_balls(
    model: lapidary.Model, x: Images, y: Labels, norm: str, eps: float
) -> None:
    moved = model.attack(x, y, norm=norm, eps=eps, steps=10)
    assert moved.shape == x.shape and moved.dtype == np.float32
    assert moved.min() >= 0 and moved.max() <= 1
    moves = (moved - x).reshape(len(x), -1).astype(np.float64)
    lengths = np.abs(moves).max(1) if norm == "Linf" else np.linalg.norm(moves, axis=1)
    assert lengths.max() <= eps * 1.0001 and lengths.min() > 0.1 * eps
    right = model.predict(x) == y
    assert (model.predict(moved) == y).sum() < right.sum()


def test_more_starts_break_no_less(model: lapidary.Model, x: Images, y: Labels) -> None:
    def standing(restarts: int) -> int:
        moved = model.attack(x, y, norm="L2", eps=0.75, steps=5, restarts=restarts, loss="margin")
        return int((model.predict(moved) == y).sum())

    assert standing(4) <= standing(1)


def test_autoattack_says_what_each_attack_did(model: lapidary.Model, x: Images, y: Labels) -> None:
    result = model.autoattack(x, y, norm="L2", eps=0.5, steps=10, queries=100)
    assert [row["attack"] for row in result.attacks][0] == "apgd-ce"
    right = model.predict(x) == y
    assert result.clean_accuracy == pytest.approx(right.mean())
    assert result.robust_accuracy == pytest.approx((model.predict(result.images) == y).mean())
    broken = sum(row["broken"] for row in result.attacks)
    assert result.robust_accuracy == pytest.approx(result.clean_accuracy - broken / len(x))
    assert [point == "wrong" for point in result.points] == (~right).tolist()
    info = result.model_info
    assert info["eps"] == "0.5" and info["architecture"] == "WRN-10-1"
    # Other numbers of steps are not the standard version.
    assert info["autoattack_acc"] is None and result.version == "custom"
    assert "<table>" in result._repr_html_() and "robust" in repr(result)


def test_autoattacks_steps_and_restarts_are_pgds_too(model: lapidary.Model, fashion: lapidary.data.Labelled) -> None:
    x, y = fashion.images[:128], fashion.labels[:128]
    settings: dict[str, Any] = {"norm": "L2", "eps": 1.5, "steps": 2, "restarts": 8, "seed": 3}
    result = model.autoattack(x, y, version="custom", attacks=["pgd"], **settings)
    alone = model.attack(x, y, **settings)
    wrong = np.array(result.points) == "wrong"
    broken = np.array(result.points) == "pgd"
    np.testing.assert_array_equal(broken, (model.predict(alone) != y) & ~wrong)
    # Batches of other sizes differ in the last bits.
    np.testing.assert_allclose(result.images[broken], alone[broken], rtol=0, atol=1e-6)
    # From the image itself alone, fewer of them break.
    once = model.autoattack(x, y, version="custom", attacks=["pgd"], **{**settings, "restarts": 1})
    assert once.robust_accuracy > result.robust_accuracy


def test_a_radius_that_is_not_given_is_the_norms(model: lapidary.Model, x: Images, y: Labels) -> None:
    for norm, eps in [("Linf", 8 / 255), ("L2", 0.5)]:
        result = model.autoattack(x, y, norm=norm, version="custom", attacks=["apgd-ce"], steps=2)
        assert result.eps == pytest.approx(eps, rel=1e-6)
        moves = (model.attack(x, y, norm=norm, steps=3, step_size=1.0) - x).reshape(len(x), -1)
        lengths = np.abs(moves).max(1) if norm == "Linf" else np.linalg.norm(moves, axis=1)
        assert 0.9 * eps < lengths.max() <= eps * 1.0001


def test_a_callback_is_told_and_may_stop(model: lapidary.Model, x: Images, y: Labels, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    seen: list[lapidary.Progress] = []

    def stop(progress: lapidary.Progress) -> None:
        seen.append(progress)
        if progress.phase == "square":
            raise Enough

    state = tmp_path / "state.json"
    settings: dict[str, Any] = {"norm": "L2", "eps": 0.5, "version": "custom", "attacks": ["apgd-ce", "square"]}
    with pytest.raises(Enough):
        model.autoattack(x, y, state=state, callback=stop, steps=5, queries=200, **settings)
    assert {progress.phase for progress in seen} == {"apgd-ce", "square"}
    assert all(0 <= progress.done <= progress.total for progress in seen)
    assert 0 < seen[-1].values["robust_accuracy"] <= 1
    phases = set()
    again = model.autoattack(
        x, y, state=state, callback=lambda p: phases.add(p.phase), steps=5, queries=200, **settings
    )
    assert phases == {"square"}, "what was over was not attacked again"
    whole = model.autoattack(x, y, steps=5, queries=200, **settings)
    assert again.points == whole.points
    np.testing.assert_array_equal(again.images, whole.images)


def test_a_state_of_other_settings_is_refused(model: lapidary.Model, x: Images, y: Labels, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    model.autoattack(x, y, norm="L2", eps=0.5, version="custom", attacks=["pgd"], state=state)
    with pytest.raises(lapidary.BadFile, match="eps") as raised:
        model.autoattack(x, y, norm="L2", eps=0.25, version="custom", attacks=["pgd"], state=state)
    assert raised.value.path == str(state)


def test_the_model_refuses_calls_from_its_own_callback(model: lapidary.Model, x: Images, y: Labels) -> None:
    with pytest.raises(lapidary.Mismatch, match="callback"):
        model.attack(x, y, callback=lambda _: model.logits(x))
    assert model.logits(x).shape == (16, 10)


LONG = """
import lapidary, sys, threading, time
def say(*words):  # in one write, as two threads do
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()
model = lapidary.load("builtin:fashion-demo")
x, y, _ = lapidary.data.fashion(side=model.side)
model.logits(x[:64])
def tick():
    while True:
        say("tick", time.monotonic())
        time.sleep(0.02)
threading.Thread(target=tick, daemon=True).start()
say("begin", time.monotonic())
try:
    model.autoattack(x[:64], y[:64], norm="L2", eps=0.25, queries=2000, steps=20, state=sys.argv[1])
except KeyboardInterrupt:
    say("interrupted", time.monotonic())
    sys.exit(5)
say("whole")
"""


def test_ctrl_c_ends_autoattack_and_a_second_call_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, str(state)],
        stdout=subprocess.PIPE,
        text=True,
        # A shell ignores the signal in what it starts in the background, and processes inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or []))
    reader.start()
    give_up = time.monotonic() + 200
    # Into the attack that follows the first whose batches are over.
    while not state.exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    time.sleep(0.5)
    assert process.poll() is None, "it is too short to be interrupted"
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 5
    took = time.monotonic() - sent
    reader.join(30)
    assert took < 2.0 + 0.5, f"{took:.1f} s, of which Python's end is some"
    begun = next(i for i, line in enumerate(lines) if line.startswith("begin"))
    ended = next(i for i, line in enumerate(lines) if line.startswith("interrupted"))
    stopped = float(lines[ended].split()[1])
    assert stopped - sent < 2.0
    # The other thread printed all the while.
    ticks = [float(line.split()[1]) for line in lines[begun:ended] if line.startswith("tick")]
    gaps = np.diff(ticks)
    assert len(ticks) > 20 and gaps.max() < 1.0, gaps.max()

    script = LONG.replace("threading.Thread(target=tick, daemon=True).start()", "").replace(
        "state=sys.argv[1])", "state=sys.argv[1], callback=lambda p: print(p.phase))"
    )
    again = subprocess.run(
        [sys.executable, "-c", script, str(state)], capture_output=True, text=True, timeout=400, env=os.environ
    )
    assert again.returncode == 0 and "whole" in again.stdout, again.stderr
