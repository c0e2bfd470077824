"""TensorRT's layers: profile and layer information, and the ONNX nodes behind the name of a fused layer."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import msgspec

from edgebench.errors import LaunchFailed

_METADATA = re.compile(r"\[ONNX Layer: ([^\x1e\x1f]+?)\](?=[\x1e\x1f\[]|$)")
# A copy that changes a tensor's layout or type between layers; it computes nothing of the model.
_REFORMAT = re.compile(
    r"Reformatting CopyNode for (?:Input|Output) Tensor [0-9]+ to |^Reformat(?:Input|Output)?\b|^reformat_"
)
# Pointwise chains are nested: PWN(PWN(a), b).
_POINTWISE = re.compile(r"\bPWN\(")
_FOREIGN = re.compile(r"\{ForeignNode\[(.*)\]\}", re.DOTALL)
_KIND = re.compile(
    r" ?\[(?:Shuffle|Constant|Convolution|Activation|Scale|ElementWise|Pooling|Slice|Reduce|Gather|Unary)\]$"
)

# How far two times of a profile that ought to be one may lie apart, as a share: six digits are printed. In ten profiles of
# NVIDIA's own examples (tools/experimental/trt-engine-explorer) it is 1.2e-5 at most.
_ROUNDING = 5e-5
# How far percentages may add up: they are of a sum of 32-bit floats.
_ALL_PERCENT = 100.1
# How far the mean may lie above the median. On real profiles it was at most 1.4 times it (a layer seen 11 times), in another
# unit it would be a thousand times: this lies as far from one as from the other. It is never less than half the median.
_OUTLIERS = 30


@dataclass(frozen=True)
class LayerTime:
    """One line of a profile: mean and median ms an inference; the median only since TensorRT 8.5."""

    name: str
    mean_ms: float
    median_ms: float | None


@dataclass(frozen=True)
class LayerProfile:
    """The file of --exportProfile: how many inferences it is over, and its layers in order."""

    inferences: int
    layers: tuple[LayerTime, ...]


@dataclass(frozen=True)
class LayerInfo:
    """A layer of the engine. ``nodes`` are those that TensorRT itself names: none before 8.6 or without detailed verbosity."""

    name: str
    kind: str | None
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """What a layer computes: ``nodes`` of the ONNX graph; ``reformat`` for a copy between layouts; ``whole`` is false where
    TensorRT names only the ends of what it compiled as one (ForeignNode), so that the nodes between are not known."""

    nodes: tuple[str, ...]
    reformat: bool = False
    whole: bool = True


def parse_profile(data: bytes) -> LayerProfile:
    """Raises LaunchFailed where it is no profile, holds what cannot be, or contradicts itself.

    A name may stand twice (NVIDIA's own tools number such layers), but not with the same time: then its row was doubled. A
    profile that lacks layers is read: what it says of the others stays true.
    """
    try:
        rows = msgspec.json.decode(data, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise _refused("profile", f"it is not what --exportProfile writes ({error})") from error
    counts = [row["count"] for row in rows if "count" in row and "name" not in row]
    if len(counts) != 1 or not isinstance(counts[0], int) or counts[0] < 1:
        raise _refused("profile", "it does not say over how many inferences it is")
    named = [row for row in rows if "name" in row]
    if len(named) != len(rows) - 1 or len({frozenset(row) for row in named}) > 1:
        raise _refused("profile", "its layers do not all have the same keys")
    layers = [_layer_time(row, counts[0]) for row in named]
    twice = [
        name
        for (name, mean), times in Counter((each.name, each.mean_ms) for each in layers).items()
        if mean and times > 1
    ]
    if twice:
        raise _refused("profile", f"a layer stands twice with the same time: {twice[0][:200]}")
    _require_shares(named)
    return LayerProfile(counts[0], tuple(layers))


def _layer_time(row: dict[str, Any], count: int) -> LayerTime:
    name, mean, median, total = (row.get(key) for key in ("name", "averageMs", "medianMs", "timeMs"))
    told = [each for key, each in (("averageMs", mean), ("medianMs", median), ("timeMs", total)) if key in row]
    if not isinstance(name, str) or not _is_time(mean) or not all(map(_is_time, told)):
        raise _refused("profile", f"a layer has no time: {str(row)[:200]}")
    if total is not None and not math.isclose(mean * count, total, rel_tol=_ROUNDING):
        raise _refused("profile", f"{total} ms are not {count} times {mean} ms: {name[:200]}")
    if median is not None and not median / 2 <= mean * (1 + _ROUNDING):
        raise _refused("profile", f"a mean of {mean} ms is too short for a median of {median} ms: {name[:200]}")
    if median and mean > _OUTLIERS * median:
        raise _refused("profile", f"a mean of {mean} ms is too long for a median of {median} ms: {name[:200]}")
    return LayerTime(name, mean, median)


def _require_shares(rows: Sequence[dict[str, Any]]) -> None:
    """The shares of the layers stand to each other as their times do, and are no more than all together."""
    shares = [row["percentage"] for row in rows if "percentage" in row]
    if not all(map(_is_time, shares)) or sum(shares) > _ALL_PERCENT:
        raise _refused("profile", "its percentages are none")
    per_ms = []
    for row, share in zip(rows, shares, strict=False):
        if (row["averageMs"] == 0) != (share == 0):
            raise _refused("profile", f"{row['averageMs']} ms are not {share} %: {row['name'][:200]}")
        if share:
            per_ms.append(share / row["averageMs"])
    if per_ms and max(per_ms) > min(per_ms) * (1 + _ROUNDING):
        raise _refused("profile", "its percentages do not fit its times")


def parse_layer_info(data: bytes) -> tuple[LayerInfo, ...]:
    """The file of --exportLayerInfo: names alone without detailed verbosity. Raises LaunchFailed where it is no such file.

    Each name once. What a name that stands twice says of itself counts only where it says the same.
    """
    try:
        document = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise _refused("layer information", f"it is not what --exportLayerInfo writes ({error})") from error
    layers = document.get("Layers")
    if not isinstance(layers, list):
        raise _refused("layer information", "it has no Layers")
    found: dict[str, LayerInfo] = {}
    for layer in layers:
        info = _layer_info(layer)
        known = found.setdefault(info.name, info)
        found[info.name] = LayerInfo(
            info.name,
            known.kind if known.kind == info.kind else None,
            known.nodes if known.nodes == info.nodes else (),
        )
    return tuple(found.values())


def _layer_info(layer: object) -> LayerInfo:
    if isinstance(layer, str):
        return LayerInfo(layer, None, ())
    if isinstance(layer, dict) and isinstance(name := layer.get("Name"), str):
        kind, metadata = layer.get("LayerType"), layer.get("Metadata")
        nodes = _METADATA.findall(metadata) if isinstance(metadata, str) else []
        return LayerInfo(name, kind if isinstance(kind, str) else None, tuple(dict.fromkeys(nodes)))
    raise _refused("layer information", f"a layer has no name: {str(layer)[:200]}")


def origin_of(layer: str, info: Mapping[str, LayerInfo], nodes: Collection[str]) -> Origin:
    """What the layer of this name computes. ``info`` is by name, ``nodes`` are the names of the ONNX graph's.

    TensorRT's own word counts before what its name looks like; a part of a name that is no node of the graph is dropped.
    """
    told = info.get(layer)
    if _REFORMAT.search(layer) or (told is not None and told.kind == "Reformat"):
        return Origin((), reformat=True)
    if told is not None and (named := tuple(node for node in told.nodes if node in nodes)):
        return Origin(named)
    if foreign := _FOREIGN.fullmatch(layer.strip()):
        first, dots, last = foreign[1].partition("...")
        ends = _known([first, last] if dots else foreign[1].split(" + "), nodes)
        return Origin(ends, whole=not dots)
    return Origin(_known(_split(layer), nodes))


def _split(layer: str) -> list[str]:
    """The parts of ``a + b``, ``PWN(PWN(a), b)`` and ``a || b`` (side by side)."""
    inner = _POINTWISE.sub("(", layer)
    parts = re.split(r" \+ |, | \|\| ", inner)
    return [
        part.strip().lstrip("(").rstrip(")") if part.count("(") != part.count(")") else part.strip("() ")
        for part in parts
    ]


def _known(names: list[str], nodes: Collection[str]) -> tuple[str, ...]:
    found = []
    for name in names:
        plain = _KIND.sub("", name.strip())
        # TensorRT numbers what it had to double: /conv/Conv_clone_1.
        for candidate in (plain, re.sub(r"_clone_[0-9]+$", "", plain)):
            if candidate in nodes:
                found.append(candidate)
                break
    return tuple(dict.fromkeys(found))


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _refused(what: str, why: str) -> LaunchFailed:
    return LaunchFailed(
        f"TensorRT's {what} cannot be used: {why}",
        hint="run again; if it stays so, report it with TensorRT's version",
    )
