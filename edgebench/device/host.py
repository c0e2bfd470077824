"""This machine as a device."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from edgebench.device.linux.device import LinuxDevice
from edgebench.device.tree import LocalTree


class HostDevice(LinuxDevice):
    """The machine that edgebench runs on. ``root`` stands for ``/`` so that tests can show other machines."""

    platform = "host"

    def __init__(self, root: Path = Path("/"), allowed: Iterable[int] | None = None) -> None:
        super().__init__(LocalTree(root), platform.node(), os.sched_getaffinity(0) if allowed is None else allowed)
