"""Fixtures of the tests: the network that comes with the package, and images for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import lapidary


@pytest.fixture(scope="session")
def model() -> lapidary.Model:
    return lapidary.load("builtin:fashion-demo")


@pytest.fixture(scope="session")
def fashion(model: lapidary.Model) -> lapidary.data.Labelled:
    return lapidary.data.fashion(side=model.side or 0)


@pytest.fixture(scope="session")
def x(fashion: lapidary.data.Labelled) -> npt.NDArray[np.float32]:
    return fashion.images[:16].copy()


@pytest.fixture(scope="session")
def y(fashion: lapidary.data.Labelled) -> npt.NDArray[np.int64]:
    return fashion.labels[:16].copy()
