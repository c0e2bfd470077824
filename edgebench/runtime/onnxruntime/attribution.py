"""Credits ONNX Runtime's kernels to PyTorch modules through the values between them, since its names mislead.

A fused Conv+Relu is named after the Relu's value, a convolution that adds a residual after the value before the addition,
and equal constants share one name. What can be relied on are the values that leave a kernel: the nodes of the exported
graph between the values that other kernels make and this one's are what it computes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edgebench.analyze.attribution import NOBODY, Credit, ExportedGraph, profile_record
from edgebench.errors import InvalidFile
from edgebench.records import Artifact, LayersRow, ProfileRecord, Sidecar, SidecarNode
from edgebench.records.codec import decode
from edgebench.runtime.onnxruntime.graph import KernelNode, match_kernels, read_optimized

_REORDERS = frozenset({"ReorderInput", "ReorderOutput"})
# They move or retype data and compute nothing. Where ONNX Runtime inserts one, it is a layout conversion.
_MOVES = _REORDERS | {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Identity"}
_UNIQUE = re.compile(r"_token_\d+$")
_NCHWC_SUFFIX = "_nchwc"
# Values inside an operator without a kernel of its own, which ONNX Runtime writes out as the operators it is defined by.
_INLINED = "_inlfunc_"


def attribute(artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
    """The profile of one launch by module. ``folder`` holds the artifact, ``layers.graph`` the optimised graph's path.

    Raises InvalidFile where the side-car, the optimised graph or the timings cannot be used.
    """
    name = next((file.path for file in artifact.files if file.role == "sidecar"), None)
    if name is None or layers.graph is None:
        missing = "the artifact has no side-car" if name is None else "the profile has no optimised graph"
        raise InvalidFile(str(folder), "", missing, hint="export the model again with --rebuild, then profile it")
    path = folder / name
    sidecar = decode(Sidecar, path.read_bytes(), path=str(path))
    nodes = read_optimized(Path(layers.graph))
    return profile_record(layers, credit(ExportedGraph(sidecar), nodes, match_kernels(layers.layers, nodes)))


def credit(exported: ExportedGraph, nodes: Sequence[KernelNode], timed: Sequence[KernelNode | None]) -> list[Credit]:
    """A credit for each of ``timed``, all of which are among ``nodes``, the whole optimised graph."""
    found = _Attribution(exported, nodes).credits()
    return [NOBODY if node is None else replace(found[id(node)], weight_bytes=node.weight_bytes) for node in timed]


class _Values:
    """Which value of the exported graph each value of the optimised graph carries, whatever its layout."""

    def __init__(self, exported: ExportedGraph, nodes: Sequence[KernelNode]) -> None:
        self._exported = exported
        self.producer = {value: node for node in nodes for value in node.outputs}
        self.readers: dict[str, list[KernelNode]] = defaultdict(list)
        for node in nodes:
            for value in dict.fromkeys(node.inputs):
                self.readers[value].append(node)
        self._carried = {value: found for value in self.producer if (found := self._from_names(value))}
        self.made = frozenset(self._carried.values())
        later = [(value, self._from_readers(value)) for value in self.producer if value not in self._carried]
        self._carried |= {value: found for value, found in later if found}
        self.made = frozenset(self._carried.values())

    def carried(self, value: str) -> str | None:
        """The exported value, None where it is not known. A graph input or a constant carries itself."""
        if value not in self.producer:
            return value
        node = self.producer[value]
        if value not in self._carried and node.op in _MOVES and node.inputs:
            return self.carried(node.inputs[0])
        return self._carried.get(value)

    def is_exported(self, value: str) -> bool:
        """Whether the exported graph has a value of this name."""
        return value in self._exported.producer

    def inserted(self, node: KernelNode) -> bool:
        """Whether ONNX Runtime put this move there: it carries on the very value that it reads."""
        return node.op in _MOVES and self.carried(node.inputs[0]) in {self.carried(value) for value in node.outputs}

    def _from_names(self, value: str) -> str | None:
        node = self.producer[value]
        if self.is_exported(value):
            return value
        if restored := self._restored(value):
            return restored
        if node.nchwc and node.op not in _REORDERS:
            return self._after_fusions(node)
        original = self._exported.by_name.get(node.name)
        if original is not None and original.op == node.op and len(original.outputs) == len(node.outputs):
            return original.outputs[node.outputs.index(value)]
        return None

    def _restored(self, value: str) -> str | None:
        """The exported value that a move puts back under its name, when one does: the surest sign."""
        for reader in self.readers[value]:
            if reader.op in _MOVES and reader.name not in self._exported.by_name and reader.inputs[0] == value:
                return next(filter(self.is_exported, reader.outputs), None)
        return None

    def _after_fusions(self, node: KernelNode) -> str | None:
        """An NCHWc node is named for the value before the addition and the activation that it took in."""
        value = _UNIQUE.sub("", node.name).removesuffix(_NCHWC_SUFFIX)
        if not self.is_exported(value):
            return None
        if node.adds is not None:
            value = self._output_of_reader(value, "Add") or self._output_of_reader(value, "Sum") or value
        if node.activation is not None and self._exported.producer[value].op != node.activation:
            value = self._output_of_reader(value, node.activation) or value
        return value

    def _output_of_reader(self, value: str, op: str) -> str | None:
        return next((node.outputs[0] for node in self._exported.consumers[value] if node.op == op), None)

    def _from_readers(self, value: str) -> str | None:
        """What a value with an invented name must be, since its reader has a counterpart: the input in the same place."""
        if value.startswith(_INLINED):
            return self._end_of_inlined(value)
        for reader in self.readers[value]:
            makes = [made for output in reader.outputs if (made := self._carried.get(output))]
            region = self._exported.region(makes, self.made) if reader.op not in _MOVES else ()
            twin = self._exported.anchor(region, reader.op)
            place = reader.inputs.index(value)
            if twin is not None and twin.op == reader.op and place < len(twin.inputs):
                read = twin.inputs[place]
                if self.is_exported(read) and read not in self.made:
                    return read
        original = _named_after(self.producer[value].name, self._exported)
        return original.outputs[0] if original is not None and len(self.producer[value].outputs) == 1 else None

    def _end_of_inlined(self, value: str) -> str | None:
        """The value that the written-out operator makes, for the values on the way to it."""
        waiting, seen = [value], {value}
        while waiting:
            for output in (out for reader in self.readers[waiting.pop(0)] for out in reader.outputs):
                if not output.startswith(_INLINED):
                    return self._carried.get(output)
                if output not in seen:
                    seen.add(output)
                    waiting.append(output)
        return None


class _Attribution:
    """The nodes of the exported graph that each kernel computes, and whom it is credited to."""

    def __init__(self, exported: ExportedGraph, nodes: Sequence[KernelNode]) -> None:
        self._exported = exported
        self._values = _Values(exported, nodes)
        self._nodes = nodes
        self._regions = {id(node): self._region(node) for node in nodes}
        self._anchors = {id(node): exported.anchor(self._regions[id(node)], node.op) for node in nodes}

    def credits(self) -> dict[int, Credit]:
        """By the id of the node. The MACs of an exported node are counted once, for the kernel named after it."""
        macs = self._macs()
        result = {}
        for node in self._nodes:
            anchor = self._anchors[id(node)]
            if anchor is None:
                result[id(node)] = self._conversion(node)
            elif not self._exported.knows_module_of(anchor):
                result[id(node)] = NOBODY
            else:
                module = self._exported.module_of(anchor)
                fused = self._exported.others(self._regions[id(node)], module)
                result[id(node)] = Credit(module=module, kind="kernel", macs=macs[id(node)], fused=fused)
        return result

    def _region(self, node: KernelNode) -> tuple[SidecarNode, ...]:
        if self._values.inserted(node):
            return ()
        outputs = [made for value in node.outputs if (made := self._values.carried(value))]
        return self._exported.region(outputs, self._values.made)

    def _macs(self) -> dict[int, int]:
        macs: dict[int, int] = defaultdict(int)
        counted: set[int] = set()

        def count(node: KernelNode, original: SidecarNode | None) -> None:
            if original is not None and id(original) not in counted:
                counted.add(id(original))
                macs[id(node)] += original.macs

        for node in self._nodes:
            count(node, self._anchors[id(node)])
        for node in self._nodes:
            for original in self._regions[id(node)]:
                count(node, original)
        return macs

    def _conversion(self, node: KernelNode) -> Credit:
        """An inserted move is charged to the kernel that made its value if it restores it, else to the one that reads it.

        A move of the model's own that ONNX Runtime shifted to here is that module's work, not a conversion.
        """
        if not self._values.inserted(node):
            return NOBODY
        restores = any(map(self._values.is_exported, node.outputs))
        directions = ("before", "after") if restores else ("after", "before")
        for direction in directions:
            for neighbour in self._neighbours(node, direction):
                if shifted := self._shifted(node, neighbour):
                    return Credit(module=self._exported.module_of(shifted), kind="kernel")
        for direction in directions:
            for neighbour in self._neighbours(node, direction):
                anchor = self._anchors[id(neighbour)]
                if anchor is not None:
                    return Credit(module=self._exported.module_of(anchor), kind="layout")
        return NOBODY

    def _neighbours(self, node: KernelNode, direction: str) -> Iterator[KernelNode]:
        """The nearest kernels that compute something, beyond other inserted moves."""
        waiting, seen = [node], {id(node)}
        while waiting:
            current = waiting.pop(0)
            if direction == "before":
                nearby = [self._values.producer[v] for v in current.inputs[:1] if v in self._values.producer]
            else:
                nearby = [reader for value in current.outputs for reader in self._values.readers[value]]
            for other in nearby:
                if id(other) not in seen:
                    seen.add(id(other))
                    if self._anchors[id(other)] is None:
                        waiting.append(other)
                    else:
                        yield other

    def _shifted(self, node: KernelNode, neighbour: KernelNode) -> SidecarNode | None:
        """A node of the same type that the neighbour's region holds though the neighbour is of another type."""
        if neighbour.op == node.op:
            return None
        return next((each for each in self._regions[id(neighbour)] if each.op == node.op), None)


def _named_after(name: str, exported: ExportedGraph) -> SidecarNode | None:
    """The exported node that a fused kernel keeps in its name: ``/act/Mul/QuickGeluFusion/`` -> ``/act/Mul``."""
    name = _UNIQUE.sub("", name)
    while name:
        if name in exported.by_name:
            return exported.by_name[name]
        name = name.rpartition("/")[0]
    return None
