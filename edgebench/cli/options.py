"""The flags that measuring verbs share, and how their texts become values."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from edgebench.cli.context import complete_runtimes, complete_targets
from edgebench.runtime.onnxruntime import PROVIDERS

F = TypeVar("F", bound=Callable[..., Any])
_DURATION = re.compile(r"(?P<value>\d+(\.\d+)?)\s*(?P<unit>ms|s|m|h)?")
_SECONDS = {None: 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


# Activations of a network grow with the square: 20000 took a machine's whole memory before anything could say so.
_SIDE_MAX = 4096


class Duration(click.ParamType[float]):
    """``90s``, ``5m``, ``1h`` or plain seconds, as seconds."""

    name = "duration"

    def __init__(self, most_s: float = math.inf, least_s: float = 0.0) -> None:
        self._most_s = most_s
        self._least_s = least_s

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, above zero."""
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(value.strip())
        if found is None or float(found["value"]) <= 0:
            self.fail(f"{value!r} is no duration above zero; write 90s, 5m or 1h", param, ctx)
        seconds = float(found["value"]) * _SECONDS[found["unit"]]
        if seconds < self._least_s:
            self.fail(f"{value} is shorter than {self._least_s:.0f} s", param, ctx)
        if seconds > self._most_s:
            self.fail(f"{value} is longer than {self._most_s / 60:.0f} minutes", param, ctx)
        return seconds


LEAST_PERCENTAGE, MOST_PERCENTAGE = 0.001, 0.5


class Percentage(click.ParamType[float]):
    """``1%`` or ``0.01``, as a ratio."""

    name = "percentage"

    def __init__(self, most: float = MOST_PERCENTAGE) -> None:
        self._most = most

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A ratio between ``LEAST_PERCENTAGE`` and the most."""
        if isinstance(value, float):
            return value
        try:
            ratio = float(value[:-1]) / 100.0 if value.endswith("%") else float(value)
        except ValueError:
            self.fail(f"{value!r} is no percentage; write 1%", param, ctx)
        if not LEAST_PERCENTAGE <= ratio <= self._most:
            meant = "" if value.endswith("%") or ratio < 1 else f"; for {value} per cent write {value}%"
            self.fail(f"{value} is outside {LEAST_PERCENTAGE:.1%} to {self._most:.0%}{meant}", param, ctx)
        return ratio


class Names(click.ParamType[tuple[str, ...]]):
    """``a,b`` as a tuple without doubles, in the given order."""

    name = "names"

    def __init__(self, choices: tuple[str, ...] = ()) -> None:
        self._choices = choices

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """At least one name."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        if not names:
            self.fail("at least one name is needed", param, ctx)
        unknown = [name for name in names if self._choices and name not in self._choices]
        if unknown:
            self.fail(f"{unknown[0]!r} is none of {', '.join(self._choices)}", param, ctx)
        return names


class InputSize(click.ParamType[tuple[int, ...]]):
    """``224`` (a square image), ``192x320`` (height x width) or ``3x224x224`` (without the batch)."""

    name = "size"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """One, two or more positive numbers."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", value):
            self.fail(f"{value!r} is no size; write 224, 192x320 or 3x224x224", param, ctx)
        size = tuple(int(part) for part in value.split("x"))
        if max(size) > _SIDE_MAX:
            self.fail(f"{value} is larger than anything this was made for: at most {_SIDE_MAX} a side", param, ctx)
        return size


@dataclass(frozen=True)
class MeasuringFlags:
    """The flags of run, compare and profile, as click hands them over."""

    weights: Path | None
    calibration: Path | None
    precisions: tuple[str, ...]
    input_size: tuple[int, ...] | None
    batch: int
    rebuild: bool
    builds: int
    dla: int | None
    provider: str | None
    target: str
    runtimes: tuple[str, ...] | None
    threads: int | None
    cores: str | None
    runs_dir: Path
    launches: int | None
    ci: float | None
    max_time: float | None
    sessions: int
    gate: bool
    strict: bool
    serial: str | None
    wait: bool
    verify_files: bool
    fixed_performance: bool
    stay_awake: bool
    power_mode: str | None
    lock_clocks: bool


def measuring_options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds every flag of MeasuringFlags to a verb; its function gets them as ``flags``."""

    @functools.wraps(function)
    def collected(**given: Any) -> int:  # noqa: ANN401  (click hands over whatever was declared)
        flags = MeasuringFlags(**{field.name: given.pop(field.name) for field in fields(MeasuringFlags)})
        return function(flags=flags, **given)

    return model_options(runs_option(_device_options(_effort_options(collected))))


def model_options(function: F) -> F:
    """What is deployed: weights, precision, shapes. Shared by the measuring verbs and export."""
    return _decorated(
        function,
        click.option(
            "--weights",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Load a checkpoint (.pth or .safetensors), strictly. Without it weights are random.",
        ),
        click.option(
            "--precision",
            "precisions",
            type=Names(("fp32", "fp16", "int8")),
            default="fp32",
            show_default=True,
            help="fp32, fp16 or int8, or several by commas; each is a row of its own. int8 needs --calibration.",
        ),
        click.option(
            "--calibration",
            type=click.Path(exists=True, path_type=Path),
            help="Samples for the ranges of int8: a folder of .npy or .npz files, inputs as the network gets them.",
        ),
        click.option("--input-size", type=InputSize(), help="224, 192x320 or 3x224x224; the batch is --batch."),
        click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Images at once."),
        click.option("--rebuild", is_flag=True, help="Export anew even if the artifact is in the cache."),
    )


def runs_option(function: F) -> F:
    """Where runs are kept."""
    return click.option(
        "--runs-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("reports") / "runs",
        show_default=True,
        help="Where runs are kept.",
    )(function)


def baselines_option(function: F) -> F:
    """Where baselines are kept."""
    return click.option(
        "--baselines-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("reports") / "baselines",
        show_default=True,
        help="Where baselines are kept.",
    )(function)


def sustained_option(function: F) -> F:
    """Whether the load is held, too, and how long."""
    return click.option(
        "--sustained",
        # Two bursts, and no longer than a launch lives.
        type=Duration(most_s=3000.0, least_s=10.0),
        help="Then hold the load for so long in one launch (10m): the first seconds against what is left at rest.",
    )(function)


def depth_option(function: F) -> F:
    """How coarse the layers are shown."""
    return click.option(
        "--depth",
        type=click.IntRange(min=1),
        help="Group layers by the first so many parts of the module path. Default: every layer a row.",
    )(function)


def _device_options(function: F) -> F:
    """Where it runs: target, runtime, threads, cores."""
    return _decorated(
        function,
        target_option,
        click.option(
            "--runtime",
            "runtimes",
            type=Names(),
            shell_complete=complete_runtimes,
            help="onnxruntime, ncnn, torch or tensorrt, or several by commas. Default: what the target lists.",
        ),
        click.option(
            "--provider",
            type=click.Choice(tuple(PROVIDERS)),
            help="What computes in ONNX Runtime on a board. Default: cpu.",
        ),
        click.option(
            "--rebuilds",
            "builds",
            type=click.IntRange(min=1, max=20),
            default=1,
            show_default=True,
            help="Build so many TensorRT engines of each model: the builder's choice of kernels varies, and so the latency.",
        ),
        click.option(
            "--dla", type=click.IntRange(min=0, max=7), metavar="N", help="Compute on a Jetson's DLA of this number."
        ),
        click.option("--threads", type=click.IntRange(min=1), help="Threads of the runtime. Default: 1."),
        click.option("--cores", help="Cores to pin to: 0-1, 1, big, little, prime. Default: one core for each thread."),
        serial_option,
        click.option(
            "--wait/--no-wait",
            default=True,
            show_default=True,
            help="Wait while another run holds the device, or fail.",
        ),
        click.option("--verify-files", is_flag=True, help="Hash every file again on the device before using it."),
        click.option(
            "--fixed-performance",
            is_flag=True,
            help="Ask Android for its fixed-performance mode while the run lasts; restored afterwards.",
        ),
        click.option(
            "--stay-awake",
            is_flag=True,
            help="Keep the phone's screen on while it is plugged in and the run lasts; restored afterwards.",
        ),
        click.option(
            "--power-mode",
            metavar="MODE",
            help="Put a Jetson into this mode of nvpmodel, by name or number, while the run lasts; restored afterwards.",
        ),
        click.option(
            "--lock-clocks",
            is_flag=True,
            help="Lock a Jetson's clocks by jetson_clocks while the run lasts; restored afterwards.",
        ),
    )


def target_option(function: F) -> F:
    """Which device."""
    return click.option(
        "--target",
        default="host",
        show_default=True,
        shell_complete=complete_targets,
        help="A name from `edgebench targets`, or a .yaml file.",
    )(function)


def serial_option(function: F) -> F:
    """Which of several phones."""
    return click.option(
        "--serial",
        metavar="SERIAL",
        help="Which phone: a serial from `edgebench devices`, or host:port. Which board: [user@]host[:port].",
    )(function)


def _effort_options(function: F) -> F:
    """How long it goes on, and how strict it is."""
    return _decorated(
        function,
        click.option("--launches", type=click.IntRange(min=1, max=1000), help="At most this many. Default: 10."),
        click.option("--ci", type=Percentage(), help="Go on (to 40 launches) until the interval is this narrow: 1%."),
        click.option(
            "--max-time",
            type=Duration(),
            help="Stop after 90s, 5m or 1h (a plain number: seconds) with what was measured; building engines is not counted.",
        ),
        click.option(
            "--sessions",
            type=click.IntRange(min=1, max=100),
            default=1,
            show_default=True,
            help="Measure so often, at least 10 minutes apart.",
        ),
        click.option(
            "--gate/--no-gate",
            default=True,
            show_default=True,
            help="Wait until the device is cool and idle before a launch.",
        ),
        click.option("--strict", is_flag=True, help="Exit with 6 if any result is SUSPECT."),
    )


def _decorated(function: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def flags_given() -> set[str]:
    """The parameters of the present verb that stand on the command line, by name; defaults do not."""
    context = click.get_current_context()
    from_command_line = click.core.ParameterSource.COMMANDLINE
    return {name for name in context.params if context.get_parameter_source(name) is from_command_line}
