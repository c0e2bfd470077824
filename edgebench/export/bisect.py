"""Which module diverges first: the values inside a converted graph against PyTorch's, module by module in call order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import UnsupportedOperator
from edgebench.export.compare import relative_error
from edgebench.export.reference import Array, first_line, run_module
from edgebench.records import Sidecar, TensorSpec

if TYPE_CHECKING:
    import onnx
    from torch import nn

# Fused weights are rounded to float32 once: what is left of a right fusion inside the network.
_FUSION_LIMIT = 1e-3


@dataclass(frozen=True)
class Call:
    """One call of a module: its path, the tensor that it returned, and whether it is a convolution or linear layer."""

    path: str
    weighted: bool
    value: Array


def module_calls(module: nn.Module, arrays: Sequence[Array]) -> list[Call]:
    """Every call of a submodule that returned one tensor, in the order in which the calls ended. Copies of the values."""
    import torch

    calls: list[Call] = []

    def watch(path: str) -> Callable[[nn.Module, object, object], None]:
        def hook(called: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor):
                # Later modules may work in place on this memory.
                weighted = isinstance(called, torch.nn.Conv2d | torch.nn.Linear)
                calls.append(Call(path, weighted, output.detach().numpy().copy()))

        return hook

    handles = [child.register_forward_hook(watch(path)) for path, child in module.named_modules() if path]
    try:
        run_module(module, arrays)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def first_divergent_between(before: nn.Module, after: nn.Module, arrays: Sequence[Array]) -> str | None:
    """The first module, among those that both networks have, whose outputs differ: for a fusion that went wrong."""
    expected = {call.path: call.value for call in module_calls(before, arrays)}
    for call in module_calls(after, arrays):
        if call.path in expected and relative_error(call.value, expected[call.path])[0] > _FUSION_LIMIT:
            return call.path
    return None


def first_divergent_in_onnx(
    model: Path,
    sidecar: Sidecar,
    inputs: Sequence[TensorSpec],
    module: nn.Module,
    arrays: Sequence[Array],
    limit: float,
) -> str | None:
    """The first module none of whose values in the graph, unoptimised, is what PyTorch returns; None where all agree.

    A module without a value of its own (a convolution with its BatchNorm folded in, say) shows at the next one that has.
    """
    values = _graph_values(model, inputs, arrays)
    inside: dict[str, list[Array]] = {}
    for node in sidecar.nodes:
        for scope in node.scopes:
            inside.setdefault(scope, []).extend(values[name] for name in node.outputs if name in values)
    last = {call.path: call for call in module_calls(module, arrays)}
    # The graph does not tell the calls of a shared module apart.
    for call in last.values():
        comparable = [value for value in inside.get(call.path, []) if value.shape == call.value.shape]
        if comparable and all(relative_error(value, call.value)[0] > limit for value in comparable):
            return call.path
    return None


def onnx_outputs(model: Path, inputs: Sequence[TensorSpec], arrays: Sequence[Array]) -> list[Array]:
    """What ONNX Runtime computes with its optimisations off. Raises UnsupportedOperator where it cannot."""
    import onnx

    return _run_unoptimised(onnx.load(model), None, _feed(inputs, arrays))


def _graph_values(model: Path, inputs: Sequence[TensorSpec], arrays: Sequence[Array]) -> Mapping[str, Array]:
    """Every value of the graph, with ONNX Runtime's optimisations off."""
    import onnx

    proto = onnx.load(model)
    known = {output.name for output in proto.graph.output}
    names = [name for node in proto.graph.node for name in node.output if name]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    return dict(zip(names, _run_unoptimised(proto, names, _feed(inputs, arrays)), strict=True))


def _run_unoptimised(proto: onnx.ModelProto, names: list[str] | None, feed: dict[str, Array]) -> list[Array]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    # It warns of outputs whose type it has to infer, which is what is asked of it here.
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run(names, feed))
    except Exception as error:
        # ONNX Runtime's errors have no base of their own.
        raise UnsupportedOperator(
            f"ONNX Runtime does not run the graph with optimisations off: {first_line(error)}",
            hint="report it with the model's name",
        ) from error


def _feed(inputs: Sequence[TensorSpec], arrays: Sequence[Array]) -> dict[str, Array]:
    return {spec.name: array for spec, array in zip(inputs, arrays, strict=True)}
