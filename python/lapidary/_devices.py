"""Lists the devices (GPUs, and CPU rasterisers) that networks can run on; notebooks show the list as a table."""

from __future__ import annotations

from html import escape

from ._native import Device, _devices

__all__ = ["Devices", "devices"]


class Devices(list[Device]):
    """The devices of this machine, the preferred one first."""

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{number}</td><td>{escape(device.name)}</td><td>{escape(device.kind)}</td>"
            f"<td>{escape(device.backend)}</td><td>{escape(device.driver)}</td><td>{escape(device.pci)}</td></tr>"
            for number, device in enumerate(self)
        )
        head = "<tr><th></th><th>name</th><th>kind</th><th>interface</th><th>driver</th><th>PCI</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def devices() -> Devices:
    """List the devices that networks can run on.

    Returns
    -------
    Devices
        A list of `Device`: discrete GPUs before integrated ones before rasterisers on the CPU. The first is taken where no device
        is named, unless the environment variable ``LAPIDARY_ADAPTER`` names another.

    Raises
    ------
    Error
        In a process that was forked from one that had used lapidary.
    """
    return Devices(_devices())
