"""What a client program says when it failed, as errors with a mend: rules of words, whoever's words they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgebench.errors import DeviceError, DeviceLost, DeviceNotFound


@dataclass(frozen=True)
class Rule:
    """What ``pattern`` means. ``error`` None: DeviceLost for a device that answered before, else DeviceNotFound.

    ``passing``: of one that answered before it only says that it was plugged in again just now. ``message`` may name
    ``{device}`` and ``{said}``, ``hint`` the device as a command line names it.
    """

    pattern: str
    error: type[DeviceError] | None
    message: str
    hint: str
    passing: bool = False


def first_meaning(
    rules: Sequence[Rule], said: str, device: str, *, answered: bool, by_hand: str | None = None
) -> DeviceError | None:
    """The error of the first rule that fits ``said``: the cause, what stands below it being its consequence.

    ``by_hand`` is the device as a command line names it, where that differs.
    """
    for rule in rules:
        if re.search(rule.pattern, said, re.IGNORECASE):
            if answered and (rule.error is None or rule.passing):
                error: type[DeviceError] = DeviceLost
            else:
                error = rule.error or DeviceNotFound
            return error(rule.message.format(device=device, said=said), hint=rule.hint.format(device=by_hand or device))
    return None
