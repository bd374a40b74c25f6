"""Attacks, explains, samples and trains image classifiers on any vendor's GPU.

Images are arrays of shape (N, C, H, W), float32 in [0, 1] or uint8, or with ``layout="nhwc"`` of shape (N, H, W, C). Whatever NumPy
takes as an array is taken, as are CPU tensors of PyTorch and JAX. Normalisation belongs to the network, not to the images.

Examples
--------
>>> import lapidary
>>> model = lapidary.load("builtin:fashion-demo")
>>> images, labels, names = lapidary.data.fashion(side=model.side)
>>> model.autoattack(images[:100], labels[:100], norm="L2", eps=0.5).robust_accuracy  # doctest: +SKIP
"""

from . import _errors, data, metrics
from ._devices import Devices, devices
from ._errors import *  # noqa: F403
from ._native import (
    AttackResult,
    Device,
    Explanation,
    Model,
    Progress,
    Run,
    Samples,
    __version__,
    from_state_dict,
    load,
)
from ._train import train

__all__ = [
    "AttackResult",
    "Device",
    "Devices",
    "Explanation",
    "Model",
    "Progress",
    "Run",
    "Samples",
    "__version__",
    "data",
    "devices",
    "from_state_dict",
    "load",
    "metrics",
    "train",
]
__all__ += _errors.__all__
