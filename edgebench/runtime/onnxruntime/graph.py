"""ONNX Runtime's optimised graph as plain data, and how its kernels are found in a profile."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import InvalidFile
from edgebench.records import LayerTiming

if TYPE_CHECKING:
    import onnx

_NCHWC = "com.microsoft.nchwc"
_SUM_INPUT = 3


@dataclass(frozen=True)
class KernelNode:
    """One node of the optimised graph.

    ``activation`` and ``adds`` say what an NCHWc convolution computes besides; ``weight_bytes`` is what it reads of
    constants, whole.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nchwc: bool = False
    activation: str | None = None
    weight_bytes: int = 0

    @property
    def adds(self) -> str | None:
        """The value that an NCHWc convolution adds to its result before the activation, None where it adds none."""
        has_sum = self.nchwc and self.op == "Conv" and len(self.inputs) > _SUM_INPUT
        return self.inputs[_SUM_INPUT] if has_sum and self.inputs[_SUM_INPUT] else None


def read_optimized(path: Path) -> tuple[KernelNode, ...]:
    """The nodes of the graph that ONNX Runtime saved, in its order. Raises InvalidFile."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (OSError, DecodeError) as error:
        raise InvalidFile(
            str(path), "", f"ONNX Runtime's optimised graph cannot be read: {error}", hint="profile again"
        ) from error
    sizes = {tensor.name: _size_bytes(tensor) for tensor in graph.initializer}
    return tuple(
        KernelNode(
            name=node.name,
            op=node.op_type,
            inputs=tuple(node.input),
            outputs=tuple(value for value in node.output if value),
            nchwc=node.domain == _NCHWC,
            activation=next((a.s.decode() for a in node.attribute if a.name == "activation"), None),
            weight_bytes=sum(sizes.get(value, 0) for value in dict.fromkeys(node.input)),
        )
        for node in graph.node
    )


def _size_bytes(tensor: onnx.TensorProto) -> int:
    import onnx

    return int(math.prod(tensor.dims) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def match_kernels(timings: Sequence[LayerTiming], nodes: Sequence[KernelNode]) -> list[KernelNode | None]:
    """The node behind each timed kernel, None where there is none.

    Nodes that share a name are taken in order: the runtime executes in the order that it saves. A node without a name is
    called ``<op>_<index>`` in the profile, with an index that the saved graph does not hold.
    """
    waiting: dict[tuple[str, str], deque[KernelNode]] = defaultdict(deque)
    for node in nodes:
        waiting[node.name, node.op].append(node)
    found: list[KernelNode | None] = []
    for timing in timings:
        unnamed = timing.name.removeprefix(f"{timing.op}_").isdecimal()
        queue = waiting[timing.name, timing.op] or (waiting["", timing.op] if unnamed else None)
        found.append(queue.popleft() if queue else None)
    return found
