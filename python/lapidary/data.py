"""Reads images from files, and makes random images for sampling to start from: fractal fields and uniform noise."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import _native
from ._notes import warn
from ._types import PathLike

__all__ = ["Labelled", "fashion", "fractal", "load", "noise", "picture"]


class Labelled(NamedTuple):
    """Labelled images: ``images, labels, names = lapidary.data.load(...)``."""

    images: npt.NDArray[np.float32]
    """float32 of shape (N, C, side, side) in [0, 1]."""
    labels: npt.NDArray[np.int64]
    """int64 of shape (N,)."""
    class_names: list[str]
    """The names of the classes, by label; empty where the files do not name them."""


def load(source: PathLike, *, part: str = "test", side: int = 32, fit: str | None = None) -> Labelled:
    """Read labelled images from files into arrays.

    Parameters
    ----------
    source : str or path
        idx files, CIFAR's binary files or its batches for Python, or either as .tar.gz, a folder of pictures for each class or a .zip of
        it, tar shards, Parquet tables, .npz and .npy, or ``builtin:fashion``.
    part : {"test", "train"}
        Which part of the data to read.
    side : int
        Rows and columns that the images are brought to.
    fit : {"letterbox", "crop", "stretch"}, optional
        How images of another size are brought to it. Unless told otherwise arrays (idx, CIFAR, .npz, .npy) get zeros around them
        (letterbox), and of picture files the square in the middle is taken (crop).

    Returns
    -------
    Labelled
        Images, labels and the names of the classes.

    Raises
    ------
    BadFile
        For what is not there, is of no known format or damaged, and for images without labels.

    Warns
    -----
    UserWarning
        Where pictures are damaged and left out (of files of pictures up to a tenth may be), files are of no format that is read, or
        something else is unusual: it names the first few, with the reason, and counts the others.
    """
    images, labels, names, notes = _native._labelled(os.fspath(source), part, side, fit)
    warn(os.fspath(source), notes)
    return Labelled(images, labels, names)


def fashion(part: str = "test", *, side: int = 32) -> Labelled:
    """Read the cut of Fashion-MNIST that comes with the package: 3,000 images to learn from, 1,000 to judge by.

    Parameters
    ----------
    part : {"test", "train"}
        Which part of the data to read.
    side : int
        Rows and columns; 28 become 32 by zeros around them.

    Returns
    -------
    Labelled
        Images of one channel, labels and the names of the classes.
    """
    return load("builtin:fashion", part=part, side=side)


def fractal(count: int, *, side: int = 32, channels: int = 3, seed: int = 0) -> npt.NDArray[np.float32]:
    """Make random fields whose power falls with frequency as that of natural images: what samples start from.

    Parameters
    ----------
    count, side, channels : int
        How many, and of which size.
    seed : int
        The same gives the same images: those that ``Model.sample(..., seed=seed)`` starts from.

    Returns
    -------
    ndarray
        float32 of shape (count, channels, side, side) in [0, 1].
    """
    return _native._starts("builtin:fractal", count, side, channels, seed)


def noise(count: int, *, side: int = 32, channels: int = 3, seed: int = 0) -> npt.NDArray[np.float32]:
    """Make images of noise: each value is drawn by itself, uniformly from 0 to 1.

    Parameters
    ----------
    count, side, channels : int
        How many, and of which size.
    seed : int
        The same gives the same images.

    Returns
    -------
    ndarray
        float32 of shape (count, channels, side, side) in [0, 1].
    """
    return _native._starts("builtin:noise", count, side, channels, seed)


def picture(
    path: PathLike, *, side: int = 32, channels: int = 3, fit: str = "crop"
) -> npt.NDArray[np.float32]:
    """Read a picture for a network: PNG, JPEG, WebP, GIF, BMP or TIFF.

    Parameters
    ----------
    path : str or path
        The file.
    side, channels : int
        What the network takes; ``model.side`` and ``model.channels``.
    fit : {"crop", "letterbox", "stretch"}
        How the picture is brought to a square of that side.

    Returns
    -------
    ndarray
        float32 of shape (1, channels, side, side) in [0, 1].

    Raises
    ------
    BadFile
        Where the file is no sound picture.
    """
    return _native._picture(os.fspath(path), side, channels, fit)
