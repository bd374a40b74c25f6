"""Reads the repository's golden cases, whose values come from PyTorch: see tests/golden in the repository."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# LAPIDARY_GOLDEN names another folder of such cases.
FOLDER = Path(os.environ.get("LAPIDARY_GOLDEN") or Path(__file__).parents[2] / "tests/golden/cases")
TYPES = {"F32": np.float32, "I32": np.int32}


def read(path: Path) -> tuple[dict[str, str], dict[str, npt.NDArray[Any]]]:
    """The metadata and the tensors of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, about in header.items():
        start, end = (8 + length + offset for offset in about["data_offsets"])
        tensors[name] = np.frombuffer(data[start:end], TYPES[about["dtype"]]).reshape(about["shape"])
    return metadata, tensors


@dataclass
class Case:
    """A network, what went in and what PyTorch made of it."""

    params: dict[str, Any]
    tolerances: dict[str, dict[str, float]]
    tensors: dict[str, npt.NDArray[Any]]
    weights: Path

    def check(self, name: str, given: npt.NDArray[Any]) -> None:
        """Fail where `given` is further from the reference than the case allows."""
        wanted, tolerance = self.tensors[name].astype(np.float64), self.tolerances[name]
        error = np.abs(given.astype(np.float64) - wanted)
        beyond = error > tolerance["atol"] + tolerance["rtol"] * np.abs(wanted)
        share = beyond.mean()
        assert given.shape == wanted.shape
        assert share <= tolerance["frac"], f"{name}: {share} of values are off, by up to {error.max()}"
        if beyond.any():
            # Where a rectifier's input is next to 0, its derivative may fall on the other side.
            assert error.max() <= tolerance["cap"], f"{name}: off by {error.max()}"


def cases() -> list[str]:
    """The names of the cases of whole networks in evaluation mode."""
    return sorted(path.stem for path in (FOLDER / "models").glob("*_eval.safetensors"))


def case(name: str) -> Case:
    """The case of this name."""
    metadata, tensors = read(FOLDER / "models" / f"{name}.safetensors")
    params = json.loads(metadata["params"])
    return Case(params, json.loads(metadata["tol"]), tensors, FOLDER / params["weights"])
