"""What ``trtexec`` wrote, as the rows of a trace."""

from __future__ import annotations

import math
import re
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from edgebench.errors import LaunchFailed, UnsupportedOperator
from edgebench.files import write_atomic
from edgebench.records import (
    EndRow,
    IterationsRow,
    LayersRow,
    LayerTiming,
    LoadRow,
    OutputRow,
    Plan,
    ProgramRow,
    Trace,
    TraceRow,
    WarmupRow,
)
from edgebench.records.plan import Option
from edgebench.runtime.tensorrt.layers import LayerInfo, parse_layer_info, parse_profile
from edgebench.runtime.tensorrt.trtexec_output import Console, Times, parse_console, parse_times

TRTEXEC = "trtexec"
_NS_PER_MS = 1e6
# Before ending without a word; of what it said last.
_SAID_CHARACTERS = 300
_UNSUPPORTED = re.compile(r"No importer registered for op|UNSUPPORTED_NODE|is not supported", re.IGNORECASE)
_MEMORY = re.compile(
    r"out of memory|OutOfMemory|could not allocate|allocation failure|insufficient memory", re.IGNORECASE
)
_OTHER_VERSION = re.compile(
    r"serialization version|version tag|not compatible with this version|deserializeCudaEngine|platform specific tag|magic tag",
    re.IGNORECASE,
)


def require_passed(ran: ProgramRow, what: str) -> Console:
    """What it said. Raises LaunchFailed or UnsupportedOperator with its own words where it failed, or broke off."""
    said = _read(ran, "output").decode(errors="replace")
    console = parse_console(said)
    if ran.status == 0 and console.passed:
        return console
    words = "; ".join(console.errors) or said.strip()[-_SAID_CHARACTERS:] or "nothing"
    how = f"by signal {ran.status - 128}" if ran.status > 128 else f"with status {ran.status}"
    ended = f"ended {how}" if ran.status else "broke off without PASSED"
    message = f"trtexec {ended} while it was to {what}: {words}"
    where = f"all that it said is in {ran.files['output']}"
    if _UNSUPPORTED.search(words):
        raise UnsupportedOperator(message, hint=f"choose another --runtime, or replace that operator; {where}")
    if _MEMORY.search(words) or ran.status == 137:
        raise LaunchFailed(
            message,
            hint=f"close what else uses the GPU or memory there, or try a smaller --input-size or fp16; {where}",
        )
    if _OTHER_VERSION.search(words):
        raise LaunchFailed(
            message, hint=f"the engine is of another TensorRT or GPU: remove the folder engines there; {where}"
        )
    raise LaunchFailed(message, hint=where)


def adapted(trace: Trace, plan: Plan, *, version: str, computed: str, resolved: dict[str, Option]) -> Trace:
    """``trace`` with what trtexec did as the rows that an agent with the runtime inside it would have written.

    Outputs become files beside the trace. Raises LaunchFailed where trtexec failed, or its files contradict it.
    """
    runs = [row for row in trace.of(ProgramRow) if row.name == TRTEXEC]
    if not runs:
        raise LaunchFailed("the launch never came to trtexec", hint="run again")
    rows: list[TraceRow] = []
    iterations = 0
    for number, ran in enumerate(runs):
        console = require_passed(ran, {"verify": f"compute batch {number}"}.get(plan.mode, plan.mode))
        if number == 0:
            rows.append(_load(ran, console, version, computed, resolved))
        if plan.mode == "verify":
            rows += _outputs(ran, plan, number)
            iterations += 1
            continue
        times = parse_times(_read(ran, "times"), console)
        rows.append(_warm_up(ran, times, plan))
        if plan.mode == "profile":
            layers = _layers(ran, times)
            rows.append(layers)
            iterations += len(layers.total_ns)
        else:
            timed = _iterations(ran, times, plan)
            rows.append(timed)
            iterations += len(timed.stages["net"])
    return _with_rows(trace, rows, iterations, max(row.memory_peak_bytes for row in runs))


def _load(ran: ProgramRow, console: Console, version: str, computed: str, resolved: dict[str, Option]) -> LoadRow:
    told = None if console.version is None else ".".join(map(str, console.version))
    if told != version:
        raise LaunchFailed(f"trtexec is {version} by its help, {told} while it ran", hint="run again")
    return LoadRow(
        artifact=0,
        t_ns=ran.t_ns,
        import_ns=0,
        load_ns=round((console.loaded_s or 0.0) * 1e9),
        runtime_version=version,
        precision_computed=computed,
        resolved=resolved | ({"gpu": console.device} if console.device else {}),
        computed_on="accelerator",
    )


def _warm_up(ran: ProgramRow, times: Times, plan: Plan) -> WarmupRow:
    """Settled where two windows in a row agree once the timing has begun: trtexec's own warm-up goes by the clock alone."""
    window = plan.schedule.warmup_window
    first, second = times.compute_ms[:window], times.compute_ms[window : 2 * window]
    settled = bool(second) and abs(median(second) - median(first)) <= plan.schedule.warmup_tolerance * median(first)
    return WarmupRow(artifact=0, t_ns=ran.t_ns, iterations_ns=_ns(times.warmup_ms), settled=settled)


def _iterations(ran: ProgramRow, times: Times, plan: Plan) -> IterationsRow:
    most = plan.schedule.iterations_max
    transfers = {"h2d": times.h2d_ms, "d2h": times.d2h_ms}
    return IterationsRow(
        artifact=0,
        t_ns=ran.t_ns,
        stages={"net": _ns(times.compute_ms[:most])},
        cores=(),
        dropped=0,
        transfers={name: _ns(values[:most]) for name, values in transfers.items() if values is not None},
    )


def _layers(ran: ProgramRow, times: Times) -> LayersRow:
    """trtexec gives means and medians alone: a layer has one time, and the launch that of its middle inference."""
    profile = parse_profile(_read(ran, "profile"))
    path = ran.files.get("layers")
    info: dict[str, LayerInfo] = {}
    if path is not None and Path(path).is_file():
        info = {each.name: each for each in parse_layer_info(Path(path).read_bytes())}
    timings = []
    for layer in profile.layers:
        ms = layer.mean_ms if layer.median_ms is None else layer.median_ms
        kind = info[layer.name].kind if layer.name in info else None
        timings.append(LayerTiming(name=layer.name, op=kind or "layer", times_ns=_ns((ms,))))
    return LayersRow(
        artifact=0,
        t_ns=ran.t_ns,
        total_ns=_ns((median(times.compute_ms),)),
        layers=tuple(timings),
        graph=path if info else None,
    )


def _outputs(ran: ProgramRow, plan: Plan, batch: int) -> list[TraceRow]:
    """``--exportOutput``: a list of objects with name, dimensions (1x10) and values."""
    try:
        found = msgspec.json.decode(_read(ran, "outputs"), type=list[dict[str, Any]])
        by_name = {each["name"]: (each["dimensions"], each["values"]) for each in found}
        rows: list[TraceRow] = []
        for place, name in enumerate(plan.artifacts[0].outputs):
            dimensions, values = by_name[name]
            shape = tuple(int(side) for side in dimensions.split("x"))
            array = np.asarray(values, dtype="<f4").reshape(shape)
            path = Path(plan.work_dir) / f"artifact0_batch{batch}_output{place}.raw"
            write_atomic(path, array.tobytes())
            row = OutputRow(artifact=0, batch=batch, name=name, shape=shape, dtype="float32", path=str(path))
            rows.append(row)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise LaunchFailed(
            f"the outputs that trtexec exported cannot be used: {type(error).__name__} {error}",
            hint="the engine may have other outputs than the model: report it with trtexec's version",
        ) from error
    return rows


def _read(ran: ProgramRow, role: str) -> bytes:
    try:
        return Path(ran.files[role]).read_bytes()
    except (KeyError, OSError) as error:
        raise LaunchFailed(
            f"trtexec wrote no {role}",
            hint="see whether the device's disk is full; else report it with trtexec's version and what it printed",
        ) from error


def _with_rows(trace: Trace, rows: list[TraceRow], iterations: int, peak_bytes: int) -> Trace:
    """``rows`` in place of trtexec's own, in order of time among the others, and the end row that counts them."""
    others = [row for row in trace.rows[:-1] if not (isinstance(row, ProgramRow) and row.name == TRTEXEC)]
    first = next(
        (place for place, row in enumerate(trace.rows) if isinstance(row, ProgramRow) and row.name == TRTEXEC), 0
    )
    end = trace.of(EndRow)[0]
    body = list(chain(others[:first], rows, others[first:]))
    return Trace(rows=(*body, replace(end, rows=len(body), iterations=iterations, memory_peak_bytes=peak_bytes)))


def _ns(values_ms: tuple[float, ...]) -> tuple[int, ...]:
    if not all(map(math.isfinite, values_ms)):
        raise LaunchFailed("a time of trtexec's is no number", hint="run again")
    return tuple(round(ms * _NS_PER_MS) for ms in values_ms)
