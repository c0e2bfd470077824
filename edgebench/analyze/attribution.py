"""Which module a kernel's time belongs to: pure functions on the exported graph's side-car and on layer timings.

A runtime's folder finds out which nodes of the exported graph a kernel computes; what follows from that is here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from statistics import median
from typing import Literal

from edgebench.errors import InvalidFile
from edgebench.records import LayerRow, LayersRow, LayerTiming, ProfileRecord, Sidecar, SidecarNode

HEAVY_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# They read a tensor's dimensions, not its values: what made the tensor is no part of what they compute.
_SHAPE_OPS = frozenset({"Shape", "Size"})
_NS_PER_MS = 1e6


@dataclass(frozen=True)
class Credit:
    """What one kernel is: the module that it belongs to, its MACs, the other modules that it also computes, its weights."""

    module: str
    kind: Literal["kernel", "layout", "unattributed"]
    macs: int = 0
    fused: tuple[str, ...] = ()
    weight_bytes: int = 0


NOBODY = Credit(module="", kind="unattributed")


class ExportedGraph:
    """The graph as it was exported: which node makes a value, who reads it, and the module behind each node."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.nodes = sidecar.nodes
        self.by_name = {node.name: node for node in sidecar.nodes if node.name}
        self.producer = {value: node for node in sidecar.nodes for value in node.outputs if value}
        self.consumers: dict[str, list[SidecarNode]] = defaultdict(list)
        for node in sidecar.nodes:
            for value in dict.fromkeys(node.inputs):
                self.consumers[value].append(node)
        self._modules = sidecar.modules
        self._position = {id(node): index for index, node in enumerate(sidecar.nodes)}
        self._owners = Counter(node.weight_module for node in sidecar.nodes)

    def region(self, outputs: Iterable[str], cut: AbstractSet[str]) -> tuple[SidecarNode, ...]:
        """The nodes that make ``outputs`` from the values in ``cut``, in graph order.

        The walk goes backwards from each output and ends at values in ``cut`` and at values that no node makes.
        """
        found: dict[int, SidecarNode] = {}
        values = list(outputs)
        while values:
            node = self.producer.get(values.pop())
            if node is None or self._position[id(node)] in found:
                continue
            found[self._position[id(node)]] = node
            if node.op not in _SHAPE_OPS:
                values += [value for value in node.inputs if value not in cut]
        return tuple(found[position] for position in sorted(found))

    def anchor(self, region: Sequence[SidecarNode], op: str) -> SidecarNode | None:
        """The node that a kernel of type ``op`` over ``region`` is named after.

        One of the same type, else a convolution or matrix product, else one that reads a weight, else the last; among several
        the one with the most MACs, then the later.
        """
        same = [node for node in region if node.op == op]
        heavy = [node for node in region if node.op in HEAVY_OPS]
        weighted = [node for node in region if node.weight_module]
        among = same or heavy or weighted or list(region[-1:])
        return max(among, key=lambda node: (node.macs, self._position[id(node)]), default=None)

    def module_of(self, node: SidecarNode) -> str:
        """The path of the module that ``node`` belongs to; its own name (else its value's) where the graph did not come
        from modules.

        The innermost scope is not enough: the exporter folds BatchNorm into a convolution and gives it BatchNorm's scope.
        The weight's name is not enough either: it keeps one copy of equal weights, under the first owner's name, so that
        the second of two alike branches seems to read the first one's.
        """
        if not self._modules:
            return node.name or node.outputs[0]
        scope, owner = node.scopes[-1] if node.scopes else "", node.weight_module
        if owner is None or node.op not in HEAVY_OPS or owner == scope:
            return scope
        if self._owners[owner] == 1 or _is_inside(owner, scope):
            return owner
        kind = self._modules.get(owner)
        if self._modules.get(scope) == kind:
            return scope
        sibling = _child(scope.rpartition(".")[0], owner.rpartition(".")[2])
        return sibling if self._modules.get(sibling) == kind else owner

    def knows_module_of(self, node: SidecarNode) -> bool:
        """Whether anything ties ``node`` to a module: without a scope or a weight, "the whole model" would be a guess."""
        return not self._modules or bool(node.scopes) or node.weight_module is not None

    def others(self, region: Sequence[SidecarNode], module: str) -> tuple[str, ...]:
        """The modules in ``region`` other than ``module`` and the root, in graph order; constants belong to nobody."""
        names: list[str] = []
        for node in (node for node in region if node.inputs):
            # A folded BatchNorm survives only as the scope of the convolution that took it in.
            names += [self.module_of(node), *(node.scopes[-1:] if self._modules else ())]
        return tuple(name for name in dict.fromkeys(names) if name not in ("", module))


def profile_record(layers: LayersRow, credited: Sequence[Credit]) -> ProfileRecord:
    """The rows of a profile, slowest first; ``credited[i]`` belongs to ``layers.layers[i]``.

    Kernels with the same module, op and kind are one row: its ``ms`` is the median over the iterations of their sum.
    Shares are of the sum of all rows and add up to 1. Raises InvalidFile where the iterations do not line up.
    """
    _require_aligned(layers)
    groups: dict[tuple[str, str, str], list[tuple[LayerTiming, Credit]]] = defaultdict(list)
    for timing, credit in zip(layers.layers, credited, strict=True):
        groups[credit.module, timing.op, credit.kind].append((timing, credit))
    times_ms = {key: _median_of_sums_ms([timing for timing, _ in group]) for key, group in groups.items()}
    total_ms = sum(times_ms.values())
    rows = [_row(group, times_ms[key], total_ms) for key, group in groups.items()]
    return ProfileRecord(
        layers=tuple(sorted(rows, key=lambda row: -row.ms)),
        layer_sum_ms=total_ms,
        profiled_ms=median(layers.total_ns) / _NS_PER_MS,
        iterations=len(layers.total_ns),
        attributed_share=sum(row.share for row in rows if row.kind != "unattributed"),
        layout_share=sum(row.share for row in rows if row.kind == "layout"),
    )


def _row(group: Sequence[tuple[LayerTiming, Credit]], ms: float, total_ms: float) -> LayerRow:
    timings, credited = [timing for timing, _ in group], [credit for _, credit in group]
    sizes = [timing.bytes_moved + credit.weight_bytes for timing, credit in group if timing.bytes_moved is not None]
    return LayerRow(
        module=credited[0].module,
        op=timings[0].op,
        kind=credited[0].kind,
        ms=ms,
        share=ms / total_ms if total_ms > 0 else 0.0,
        macs=sum(credit.macs for credit in credited),
        # A sum that lacks one part would look like less traffic.
        bytes=sum(sizes) if len(sizes) == len(timings) else None,
        fused=tuple(dict.fromkeys(name for credit in credited for name in credit.fused)),
        kernels=tuple(timing.name for timing in timings),
    )


def _median_of_sums_ms(timings: Sequence[LayerTiming]) -> float:
    return median(map(sum, zip(*(timing.times_ns for timing in timings), strict=True))) / _NS_PER_MS


def _require_aligned(layers: LayersRow) -> None:
    iterations = len(layers.total_ns)
    uneven = [timing.name for timing in layers.layers if len(timing.times_ns) != iterations]
    if not iterations or not layers.layers:
        problem = "holds no kernel or no iteration"
    elif uneven:
        problem = f"kernel {uneven[0]} was not timed in each of the {iterations} iterations"
    else:
        return
    raise InvalidFile("trace", "layers", problem, hint="the profile launch was cut short: profile again")


def _is_inside(path: str, ancestor: str) -> bool:
    return not ancestor or path.startswith(f"{ancestor}.")


def _child(parent: str, name: str) -> str:
    return f"{parent}.{name}" if parent else name
