"""Trains networks on images in arrays or files, and returns a `Run`: the folder with history, measurements and weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union, cast

import numpy as np

from . import _errors, _native
from ._native import Run
from ._notes import warn

if TYPE_CHECKING:
    from ._types import ArrayLike, Callback, DeviceLike, PathLike

    Pair = tuple[ArrayLike, ArrayLike]
    Source = Union[Pair, Iterable[Pair]]

__all__ = ["train"]


def _pair(source: Source | None) -> Pair | None:
    """Return images and labels as two arrays; batches are joined in their order."""
    if source is None or (isinstance(source, tuple) and len(source) == 2):
        return cast("Pair | None", source)
    images, labels = [], []
    for batch in source:
        x, y = batch
        images.append(np.asarray(x))
        labels.append(np.asarray(y))
    if not images:
        raise _errors.Mismatch("data or test: got an iterable with no batches; expected at least one pair of images and labels")
    return np.concatenate(images), np.concatenate(labels)


def train(
    config: Mapping[str, Any] | PathLike,
    *,
    data: Source | None = None,
    test: Source | None = None,
    class_names: Sequence[str] = (),
    layout: str = "nchw",
    out: PathLike | None = None,
    resume: bool = True,
    callback: Callback | None = None,
    device: DeviceLike | None = None,
) -> Run:
    """Train a network, evaluate it, draw samples from it and write a report: what ``lapidary train`` does.

    Parameters
    ----------
    config : dict, str or path
        The name of a preset, the path of a TOML file, or a dict with the keys of such a file, nested or with dots:
        ``{"preset": "fashion-tiny", "stage1": {"iterations": 100}, "stage2.iterations": 0}``. See docs/guide.md.
    data : (images, labels) or iterable of such pairs, optional
        Images to learn from, in place of those that ``data.train`` names: one pair of arrays, or batches, which are read to their
        end into memory first. Images as `Model` takes them, labels whole numbers from 0 on.
    test : the same, optional
        Images to judge by. Without them ``data.held_out`` says how many of `data` are kept for it.
    class_names : sequence of str
        What the classes are called, by label.
    layout : {"nchw", "nhwc"}
        Where the channels of `data` and `test` are.
    out : str or path, optional
        The run's folder; without, the first free one in ``runs``.
    resume : bool
        Whether to go on with a run that was begun in that folder; without, a folder with a run is refused.
    callback : callable, optional
        Called with a `Progress` after each iteration. What it raises stops the training after a checkpoint was saved, as Ctrl-C does:
        the same call then goes on from it.
    device : Device, str or int, optional
        Where to train.

    Returns
    -------
    Run
        The run's folder with its history, numbers, report and network.

    Raises
    ------
    BadConfig
        For a wrong value in the configuration, or one that is not that of the run in the folder.
    BadFile
        For images or a folder that cannot be read or written.
    Mismatch
        For arrays that are not labelled images.
    Diverged
        Where training diverges and nothing helps.

    Warns
    -----
    UserWarning
        Where images were left out, as damaged pictures are: it names the first few, with the reason, and counts the others.
    """
    if isinstance(config, Mapping):
        config = dict(config)
    path, notes = _native._train(
        config, _pair(data), _pair(test), list(class_names), layout, out, resume, callback, device
    )
    warn("train", notes)
    return Run(path)
