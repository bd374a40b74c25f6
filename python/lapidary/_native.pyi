"""Types of the bindings of the Rust library; `lapidary` re-exports what is meant for users."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._types import ArrayLike, Callback, DeviceLike, PathLike, SetLike

__all__ = [
    "AttackResult",
    "Device",
    "Explanation",
    "Extractor",
    "Model",
    "Progress",
    "Run",
    "Samples",
    "__version__",
    "_auroc",
    "_confidences",
    "_copies",
    "_detection",
    "_devices",
    "_ece",
    "_fid",
    "_fpr95",
    "_inception_score",
    "_kid",
    "_labelled",
    "_picture",
    "_precision_recall",
    "_starts",
    "_statistics",
    "_train",
    "from_state_dict",
    "load",
]

__version__: str

@final
class Device:
    @property
    def name(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def driver(self) -> str: ...
    @property
    def pci(self) -> str: ...
    @property
    def max_buffer(self) -> int: ...
    @property
    def f16(self) -> bool: ...

@final
class Progress:
    @property
    def phase(self) -> str: ...
    @property
    def done(self) -> float: ...
    @property
    def total(self) -> float: ...
    @property
    def values(self) -> dict[str, float]: ...
    @property
    def text(self) -> str | None: ...

@final
class Model:
    @property
    def device(self) -> Device: ...
    @property
    def architecture(self) -> str: ...
    @property
    def classes(self) -> int: ...
    @property
    def class_names(self) -> list[str] | None: ...
    @property
    def channels(self) -> int: ...
    @property
    def side(self) -> int | None: ...
    @property
    def normalisation(self) -> tuple[list[float], list[float]] | None: ...
    @property
    def notes(self) -> list[str]: ...
    def logits(
        self, x: ArrayLike, *, layout: str = "nchw", batch_size: int = 64
    ) -> npt.NDArray[np.float32]: ...
    def predict(
        self, x: ArrayLike, *, layout: str = "nchw", batch_size: int = 64
    ) -> npt.NDArray[np.int64]: ...
    def energy(
        self, x: ArrayLike, y: ArrayLike | None = None, *, layout: str = "nchw", batch_size: int = 64
    ) -> npt.NDArray[np.float32]: ...
    def log_sum_exp(
        self, x: ArrayLike, *, layout: str = "nchw", batch_size: int = 64
    ) -> npt.NDArray[np.float32]: ...
    def input_gradient(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        of: str = "cross-entropy",
        layout: str = "nchw",
        batch_size: int = 64,
    ) -> npt.NDArray[np.float32]: ...
    def attack(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        norm: str = "Linf",
        eps: float | None = None,
        steps: int = 50,
        step_size: float | None = None,
        restarts: int = 1,
        loss: str = "cross-entropy",
        momentum: float = 0.0,
        targeted: bool = False,
        seed: int = 0,
        layout: str = "nchw",
        batch_size: int = 64,
        callback: Callback | None = None,
    ) -> npt.NDArray[np.float32]: ...
    def hide(
        self,
        x: ArrayLike,
        *,
        eps: float | None = None,
        steps: int | None = None,
        step_size: float | None = None,
        layout: str = "nchw",
        batch_size: int = 64,
        callback: Callback | None = None,
    ) -> npt.NDArray[np.float32]: ...
    def autoattack(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        norm: str = "Linf",
        eps: float | None = None,
        version: str = "standard",
        attacks: Sequence[str] | None = None,
        steps: int | None = None,
        restarts: int | None = None,
        targets: int | None = None,
        queries: int | None = None,
        seed: int = 0,
        state: PathLike | None = None,
        layout: str = "nchw",
        batch_size: int = 64,
        callback: Callback | None = None,
    ) -> AttackResult: ...
    def sample(
        self,
        classes: int | str | Sequence[str] | ArrayLike,
        *,
        seed: int = 0,
        steps: int | None = None,
        step_size: float | None = None,
        start: ArrayLike | str | None = None,
        batch_size: int = 64,
        callback: Callback | None = None,
    ) -> Samples: ...
    def explain(
        self,
        x: ArrayLike,
        target: int | str | Sequence[str] | ArrayLike,
        *,
        eps: float | None = None,
        steps: int | None = None,
        step_size: float | None = None,
        layout: str = "nchw",
        batch_size: int = 64,
        callback: Callback | None = None,
    ) -> Explanation: ...
    def state_dict(self) -> dict[str, npt.NDArray[np.float32]]: ...
    def save(self, path: PathLike, *, half: bool = False) -> None: ...
    def export_onnx(self, path: PathLike, *, half: bool = False) -> None: ...
    def _forward(self, x: ArrayLike, batch_size: int) -> npt.NDArray[np.float32]: ...
    def _backward(self, x: ArrayLike, factors: ArrayLike, batch_size: int) -> npt.NDArray[np.float32]: ...
    def _lose_device(self) -> None: ...
    def _seconds_of_logits(self, x: ArrayLike, batch_size: int) -> float: ...

@final
class AttackResult:
    @property
    def robust_accuracy(self) -> float: ...
    @property
    def clean_accuracy(self) -> float: ...
    @property
    def images(self) -> npt.NDArray[np.float32]: ...
    @property
    def points(self) -> list[str]: ...
    @property
    def attacks(self) -> list[dict[str, Any]]: ...
    @property
    def warnings(self) -> list[str]: ...
    @property
    def max_perturbation(self) -> float | None: ...
    @property
    def norm(self) -> str: ...
    @property
    def eps(self) -> float: ...
    @property
    def version(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def model_info(self) -> dict[str, Any]: ...
    def _repr_html_(self) -> str: ...

@final
class Samples:
    @property
    def images(self) -> npt.NDArray[np.float32]: ...
    @property
    def labels(self) -> npt.NDArray[np.int64]: ...
    @property
    def class_names(self) -> list[str]: ...
    @property
    def trajectory(self) -> npt.NDArray[np.float32]: ...
    def grid(self, columns: int = 10) -> npt.NDArray[np.uint8]: ...
    def to_pil(self) -> list[Any]: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]: ...
    def __len__(self) -> int: ...
    def _repr_html_(self) -> str: ...

@final
class Explanation:
    @property
    def images(self) -> npt.NDArray[np.float32]: ...
    @property
    def path(self) -> npt.NDArray[np.float32]: ...
    @property
    def probabilities(self) -> npt.NDArray[np.float32]: ...
    @property
    def targets(self) -> npt.NDArray[np.int64]: ...
    def _repr_html_(self) -> str: ...

@final
class Extractor:
    def __new__(cls, path: PathLike, *, device: DeviceLike | None = None) -> Extractor: ...
    @property
    def name(self) -> str: ...
    @property
    def width(self) -> int: ...
    def features(
        self, x: ArrayLike, *, layout: str = "nchw", batch_size: int = 32, callback: Callback | None = None
    ) -> npt.NDArray[np.float32]: ...
    def logits(
        self, x: ArrayLike, *, layout: str = "nchw", batch_size: int = 32, callback: Callback | None = None
    ) -> npt.NDArray[np.float32]: ...

@final
class Run:
    def __new__(cls, path: PathLike) -> Run: ...
    @property
    def path(self) -> str: ...
    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def metrics(self) -> dict[str, Any] | None: ...
    @property
    def history(self) -> dict[str, dict[str, npt.NDArray[Any]]]: ...
    @property
    def notes(self) -> list[str]: ...
    def model(self, *, device: DeviceLike | None = None) -> Model: ...
    def _repr_html_(self) -> str: ...

def load(
    path: PathLike,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    activation: str | None = None,
    side: int | None = None,
    device: DeviceLike | None = None,
) -> Model: ...
def from_state_dict(
    state_dict: Mapping[str, Any],
    *,
    architecture: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    activation: str | None = None,
    side: int | None = None,
    class_names: Sequence[str] | None = None,
    device: DeviceLike | None = None,
) -> Model: ...
def _devices() -> list[Device]: ...
def _copies() -> int: ...
def _fid(real: SetLike, samples: SetLike) -> float: ...
def _statistics(x: SetLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
def _kid(real: SetLike, samples: SetLike, subsets: int, size: int, seed: int) -> tuple[float, float]: ...
def _precision_recall(real: SetLike, samples: SetLike, neighbours: int) -> tuple[float, float]: ...
def _inception_score(x: ArrayLike, splits: int) -> tuple[float, float | None]: ...
def _ece(x: ArrayLike, y: ArrayLike, bins: int) -> float: ...
def _auroc(positives: ArrayLike, negatives: ArrayLike) -> float: ...
def _fpr95(positives: ArrayLike, negatives: ArrayLike) -> float: ...
def _detection(real: ArrayLike, others: ArrayLike) -> tuple[tuple[float, float], tuple[float, float]]: ...
def _confidences(x: ArrayLike) -> npt.NDArray[np.float64]: ...
def _labelled(
    source: str, part: str, side: int, fit: str | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], list[str], list[str]]: ...
def _starts(source: str, count: int, side: int, channels: int, seed: int) -> npt.NDArray[np.float32]: ...
def _picture(path: str, side: int, channels: int, fit: str) -> npt.NDArray[np.float32]: ...
def _train(
    config: Any,
    data: tuple[ArrayLike, ArrayLike] | None,
    test: tuple[ArrayLike, ArrayLike] | None,
    class_names: Sequence[str],
    layout: str,
    out: PathLike | None,
    resume: bool,
    callback: Callback | None,
    device: DeviceLike | None,
) -> tuple[str, list[str]]: ...
