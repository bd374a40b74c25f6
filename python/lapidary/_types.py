"""Types for annotations of arguments that many functions take: arrays, callbacks, devices, paths and sets of images."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy.typing as npt

if TYPE_CHECKING:
    from ._native import Device, Progress
    from .metrics import Statistics


class SupportsDlpack(Protocol):
    """An array of another library, in memory of the CPU."""

    def __dlpack__(self) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


ArrayLike = Union[npt.ArrayLike, SupportsDlpack]
Callback = Callable[["Progress"], object]
DeviceLike = Union["Device", str, int]
PathLike = Union[str, "os.PathLike[str]"]
SetLike = Union[ArrayLike, "Statistics", PathLike]
