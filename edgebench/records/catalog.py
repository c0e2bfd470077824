"""models/*.yaml and targets/*.yaml as records."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edgebench.records.base import Record

Positive = Annotated[float, msgspec.Meta(gt=0)]
PositiveInt = Annotated[int, msgspec.Meta(gt=0)]
Shape = Annotated[tuple[PositiveInt, ...], msgspec.Meta(min_length=1)]


class PublishedFigure(Record, frozen=True, kw_only=True):
    """A latency that somebody published. Shown beside a measurement, never compared with it silently."""

    value: Positive
    unit: Literal["ms", "fps"]
    device: str
    runtime: str
    source: str
    at_least: bool = False


class ModelVariant(Record, frozen=True, kw_only=True):
    """One network that can be built.

    ``build`` is ``timm:NAME``, ``torchvision:NAME`` or ``package.module:factory``. ``inputs`` maps input
    names to shapes with batch 1 first. ``params_m`` and ``macs_m`` are millions, of the fused form; MACs count
    convolutions, linear layers and matrix products. ``count_note`` says why a count differs from the published.
    """

    build: str
    inputs: dict[str, Shape]
    params_m: Positive
    macs_m: Positive
    params_train_m: Positive | None = None
    count_note: str | None = None
    published: tuple[PublishedFigure, ...] = ()


class ModelFamily(Record, frozen=True, kw_only=True):
    """One models/*.yaml. ``default`` names the variants that the bare family name stands for."""

    family: str
    summary: str
    source: str
    default: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    variants: Annotated[dict[str, ModelVariant], msgspec.Meta(min_length=1)]


class GateLimits(Record, frozen=True, kw_only=True):
    """When a device counts as cool and undisturbed; ``None`` means the platform's own default."""

    start_max_c: Positive | None = None
    max_wait_s: Positive = 30.0
    canary_ratio_max: Annotated[float, msgspec.Meta(gt=1)] | None = None


class TargetSpec(Record, frozen=True, kw_only=True):
    """One targets/*.yaml: what a person asks for. The device is what is then found.

    A phone is named by ``serial`` (USB) or ``address`` (host:port), else it is the only one that is connected; a board by
    ``address`` ([user@]host[:port] or a name in the user's ssh configuration), else it is called there what the target is
    called; the address *this-machine* is the one that edgebench runs on, reached without ssh. ``model`` is a text that its
    maker and model must contain, in either case. ``abi`` overrides the processor family that it tells. ``python`` is the
    program on a board that has the runtimes' packages, such as a virtual environment's.
    """

    name: str
    summary: str
    platform: Literal["host", "android", "linux"]
    runtimes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    threads: PositiveInt = 1
    cores: str | None = None
    serial: str | None = None
    address: str | None = None
    model: str | None = None
    abi: Literal["arm64-v8a", "armeabi-v7a", "x86_64", "riscv64"] | None = None
    python: str | None = None
    gate: GateLimits = GateLimits()
