"""Shows a progress bar for calls that take long, where tqdm is installed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._native import Progress

# Seconds after which a call counts as long.
_LONG = 2.0

# Parts of images are done at a time, and a rate of them says nothing.
_FORMAT = "{l_bar}{bar}| {n:.0f}/{total:.0f} [{elapsed}<{remaining}{postfix}]"


class Bar:
    """A progress bar that appears two seconds after a call began; without tqdm nothing is drawn."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._phase = ""
        self._bar: Any = None

    def show(self, progress: Progress) -> None:
        """Draw how far a call is, with a bar for each of its phases."""
        if progress.text is not None or time.monotonic() - self._began < _LONG:
            return
        if progress.phase != self._phase:
            self.close()
            self._phase = progress.phase
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=progress.total, desc=progress.phase, bar_format=_FORMAT)
        if self._bar is None:
            return
        self._bar.total = progress.total
        self._bar.n = round(progress.done, 1)
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in progress.values.items()}, refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        """End the bar that is drawn, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
