"""What is known of a model file that was not made here."""

from __future__ import annotations

from dataclasses import dataclass

from edgebench.records import TensorSpec


@dataclass(frozen=True)
class Imported:
    """``roles`` are the copied files; ``params`` and ``macs`` are 0 where they could not be counted.

    ``precision`` is what the weights are stored in.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    roles: dict[str, str]
    precision: str
    params: int = 0
    macs: int = 0
