"""Tests the drawing of samples, counterfactuals (images led to another class), the list of devices, and how notebooks show
them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lapidary

Images = npt.NDArray[np.float32]


def test_samples_climb_their_classes(model: lapidary.Model) -> None:
    samples = model.sample(["Bag", "coat"], seed=3)
    assert samples.labels.tolist() == [8, 4] and samples.class_names == ["bag", "coat"]
    starts = lapidary.data.fractal(2, side=16, channels=1, seed=3)
    np.testing.assert_array_equal(samples.trajectory[0], starts)
    np.testing.assert_array_equal(samples.trajectory[-1], samples.images)
    assert (model.energy(samples.images, samples.labels) < model.energy(starts, samples.labels)).all()
    again = model.sample([8, 4], start=starts)
    np.testing.assert_array_equal(again.images, samples.images)
    assert not np.array_equal(model.sample([8, 4], seed=4).images, samples.images)


@pytest.mark.parametrize("classes", [1, "trouser", [1], np.int64(1), np.array([1, 1, 1])])
def test_classes_by_number_and_name(model: lapidary.Model, classes: Any) -> None:
    samples = model.sample(classes, steps=1)
    assert set(samples.labels.tolist()) == {1} and len(samples) in (1, 3)


def test_samples_are_pictures(model: lapidary.Model) -> None:
    samples = model.sample(range(10), steps=2)
    assert np.asarray(samples).shape == samples.images.shape == (10, 1, 16, 16)
    grid = samples.grid(columns=5)
    assert grid.dtype == np.uint8 and grid.shape[2] == 3 and grid.shape[1] > grid.shape[0]
    pictures = samples.to_pil()
    assert len(pictures) == 10 and pictures[0].size == (16, 16)
    np.testing.assert_array_equal(np.asarray(pictures[3]), (samples.images[3, 0] * 255).round().astype(np.uint8))
    assert samples._repr_html_().startswith('<img alt="10 samples')


def test_counterfactuals_lead_to_their_classes(model: lapidary.Model, x: Images) -> None:
    found = model.explain(x[:5], "bag", eps=4.0, steps=20, step_size=0.5, batch_size=4)
    assert found.path.shape == (21, 5, 1, 16, 16) and found.probabilities.shape == (21, 5, 10)
    np.testing.assert_array_equal(found.path[0], x[:5])
    np.testing.assert_array_equal(found.path[-1], found.images)
    np.testing.assert_allclose(found.probabilities.sum(2), 1, rtol=1e-5)
    assert (found.probabilities[-1, :, 8] > found.probabilities[0, :, 8]).all()
    distance = np.linalg.norm((found.images - x[:5]).reshape(5, -1), axis=1)
    assert distance.max() <= 4.001
    assert "counterfactuals" in found._repr_html_() and found.targets.tolist() == [8] * 5


def test_devices_are_listed() -> None:
    found = lapidary.devices()
    assert found and found[0].name and found[0].kind in ("discrete", "integrated", "virtual", "other", "cpu")
    assert found._repr_html_().count("<tr>") == 1 + len(found)
    for device in (found[0], 0, found[0].name):
        assert lapidary.load("builtin:fashion-demo", device=device).device.name == found[0].name
