"""The exceptions that lapidary raises: one class for each way in which a caller can respond, such as giving another file."""

__all__ = [
    "BadConfig",
    "BadFile",
    "DeviceLost",
    "Diverged",
    "Error",
    "GpuFailed",
    "Mismatch",
    "MissingLimit",
    "NoAdapter",
    "NoDerivative",
    "NonFinite",
    "OutOfMemory",
    "Stopped",
    "ThreadFailed",
]


class Error(Exception):
    """The base of all exceptions of this package."""


class NoAdapter(Error):
    """No device was found, or none that fits the given name: install a driver, or name another device."""


class MissingLimit(Error):
    """The device lacks a limit or a feature that was asked for."""


class Mismatch(Error, ValueError):
    """An argument has a wrong type, shape or value: correct it.

    Attributes
    ----------
    op : str
        The argument or the function.
    given : str
        What was given for it.
    wanted : str
        What it has to be.
    """

    op: str
    given: str
    wanted: str


class NoDerivative(Error):
    """A derivative was asked for that an operation of the network does not have."""


class OutOfMemory(Error, MemoryError):
    """The device has too little memory: use a smaller ``batch_size``."""


class DeviceLost(Error):
    """The device was lost, as after a driver's reset; the next call opens it anew."""


class GpuFailed(Error):
    """The device failed: report it to the authors of this library or of its driver."""


class ThreadFailed(Error):
    """A thread ended without a result: free the system's memory and threads, or report a bug."""


class BadFile(Error, OSError):
    """A file or folder cannot be used: give another.

    Attributes
    ----------
    path : str
        The file or folder.
    reason : str
        What is wrong in it, and where.
    """

    path: str
    reason: str


class BadConfig(Error, ValueError):
    """A configuration has a wrong value: correct it.

    Attributes
    ----------
    key : str
        The dotted key.
    value : str
        The value as it was given.
    allowed : str
        The values that are allowed.
    """

    key: str
    value: str
    allowed: str


class Stopped(Error):
    """The call was stopped before its end."""


class NonFinite(Error, ValueError):
    """The network's logits are not finite, so they name no class."""


class Diverged(Error):
    """Training diverged: begin anew from the last good checkpoint, with other settings.

    Attributes
    ----------
    last_good : str or None
        The folder of that checkpoint; None where none was saved.
    """

    last_good: str | None
