"""Warns of files that were left out and of what is unusual in data, which changes what is learnt and measured."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

__all__ = ["warn"]

# Sentences that a warning holds in full.
_SHOWN = 3


def warn(what: str, notes: Sequence[str], level: int = 3) -> None:
    """Warn of the first few notes, with the number of the others, at the line that calls the public function which calls this."""
    if not notes:
        return
    more = f"; and {len(notes) - _SHOWN} more" if len(notes) > _SHOWN else ""
    text = "; ".join(notes[:_SHOWN])
    warnings.warn(f"{what}: {len(notes)} left out or unusual: {text}{more}", UserWarning, stacklevel=level)
