"""Tests which arrays are accepted as images and labels, and which of these are copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lapidary
from lapidary import _native

Images = npt.NDArray[np.float32]


def test_whole_float32_is_not_copied(model: lapidary.Model, x: Images) -> None:
    before = _native._copies()
    model.logits(x)
    model.logits(x[3:9])
    assert _native._copies() == before
    model.logits(np.asfortranarray(x))
    model.logits(x[::2])
    model.logits(x.astype(np.float64))
    model.logits((x * 255).round().astype(np.uint8))
    assert _native._copies() == before + 4


def test_other_forms_of_the_same_images(model: lapidary.Model, x: Images) -> None:
    wanted = model.logits(x)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(model.logits(last, layout="nhwc"), wanted)
    for form in (np.asfortranarray(x), x.astype(np.float64), x.astype(">f4"), x.tolist()):
        np.testing.assert_array_equal(model.logits(form), wanted)
    turned = model.input_gradient(last, np.zeros(16, int), layout="nhwc")
    assert turned.shape == last.shape
    np.testing.assert_array_equal(turned.transpose(0, 3, 1, 2), model.input_gradient(x, np.zeros(16, int)))


def test_bytes_are_divided_by_255(model: lapidary.Model, x: Images) -> None:
    bytes_ = (x * 255).round().astype(np.uint8)
    unit = bytes_.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(model.logits(bytes_), model.logits(unit))


def test_other_libraries_arrays(model: lapidary.Model, x: Images) -> None:
    class ByArray:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Images:
            return x

    class ByDlpack:
        def __dlpack__(self, **keywords: Any) -> Any:
            return x.__dlpack__(**keywords)

        def __dlpack_device__(self) -> tuple[int, int]:
            return x.__dlpack_device__()

    class OnCuda(ByDlpack):
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 0)

    wanted = model.logits(x)
    before = _native._copies()
    np.testing.assert_array_equal(model.logits(ByArray()), wanted)
    np.testing.assert_array_equal(model.logits(ByDlpack()), wanted)
    assert _native._copies() == before
    with pytest.raises(lapidary.Mismatch, match="copy it there first"):
        model.logits(OnCuda())


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint8, np.uint16, list])
def test_labels_of_any_whole_type(model: lapidary.Model, x: Images, y: Any, kind: Any) -> None:
    given = y.tolist() if kind is list else y.astype(kind)
    np.testing.assert_array_equal(model.energy(x, given), model.energy(x, y))
