"""The graph of one forward pass as PyTorch ran it: every call that makes a tensor, the module that made the call, the values.

Eager PyTorch knows what a tracer forgets: which module was running when two tensors were added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from edgebench.export.reference import Array, run_module
from edgebench.records import Sidecar, SidecarNode

if TYPE_CHECKING:
    from torch import Tensor, nn

# PyTorch's name of a call -> ONNX's name of the operator, for those that multiply and accumulate.
_HEAVY = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), "Conv"),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), "ConvTranspose"),
    "linear": "Gemm",
    **dict.fromkeys(("matmul", "bmm", "mm", "__matmul__"), "MatMul"),
}


def record_calls(module: nn.Module, arrays: Sequence[Array]) -> tuple[Sidecar, dict[str, Array]]:
    """Runs ``module`` (eval) once on ``arrays``; its calls as a side-car, and a copy of every value by its name there.

    Scopes begin with the network itself, whose path is empty: a call of its own ``forward`` has no other.
    The inputs are named ``input0``, ``input1``, …; a tensor that was changed in place has a new name from then on.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    recorder = _Recorder(module)

    class Listening(TorchFunctionMode):
        def __torch_function__(
            self,
            func: Callable[..., Any],
            types: object,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:  # noqa: ANN401  PyTorch's signature
            del types
            read = [recorder.name_of(tensor) for tensor in _tensors((args, kwargs or {}))]
            weights = [tensor for tensor in _tensors((args, kwargs or {})) if recorder.owner_of(tensor) is not None]
            result = func(*args, **(kwargs or {}))
            recorder.record(getattr(func, "__name__", "call"), read, weights, args, result)
            return result

    with ExitStack() as stack:
        for path, child in module.named_modules():
            stack.callback(child.register_forward_pre_hook(recorder.entering(path)).remove)
            stack.callback(child.register_forward_hook(recorder.leaving, always_call=True).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(Listening())
        run_module(module, arrays)
    modules = {path: type(child).__name__ for path, child in module.named_modules()}
    return Sidecar(modules=modules, nodes=tuple(recorder.nodes)), recorder.values


class _Recorder:
    """Nodes and values so far. Every tensor seen is kept alive, so that no other gets its identity."""

    def __init__(self, module: nn.Module) -> None:
        self.nodes: list[SidecarNode] = []
        self.values: dict[str, Array] = {}
        self._names: dict[int, str] = {}
        self._kept: list[Tensor] = []
        self._scopes: list[str] = []
        self._owners = {
            id(tensor): path for path, child in module.named_modules() for tensor in child.parameters(recurse=False)
        }

    def entering(self, path: str) -> Callable[[nn.Module, Any], None]:
        def hook(_module: nn.Module, inputs: Any) -> None:  # noqa: ANN401  whatever the model takes
            if not self._scopes:
                for number, tensor in enumerate(_tensors(inputs)):
                    self._keep(tensor, f"input{number}")
            self._scopes.append(path)

        return hook

    def leaving(self, _module: nn.Module, _inputs: object, _output: object) -> None:
        self._scopes.pop()

    def owner_of(self, tensor: Tensor) -> str | None:
        """The module that owns this parameter."""
        return self._owners.get(id(tensor))

    def name_of(self, tensor: Tensor) -> str:
        """The value's name; empty for a parameter or a constant, which no call made."""
        return self._names.get(id(tensor), "")

    def record(self, name: str, read: list[str], weights: list[Tensor], args: tuple[Any, ...], result: object) -> None:
        made = list(_tensors(result))
        if not self._scopes or not made:
            return
        place = len(self.nodes)
        outputs = []
        for number, tensor in enumerate(made):
            outputs.append(f"{name}_{place}" if len(made) == 1 else f"{name}_{place}_{number}")
            self._keep(tensor, outputs[-1])
        kind = _HEAVY.get(name, name)
        heavy = [tensor for tensor in weights if tensor.dim() > 1]
        self.nodes.append(
            SidecarNode(
                name=f"{name}_{place}",
                op=kind,
                inputs=tuple(value for value in read if value),
                outputs=tuple(outputs),
                scopes=tuple(self._scopes),
                weight_module=self.owner_of((heavy or weights)[0]) if weights else None,
                macs=_macs(kind, args, made[0]),
            )
        )

    def _keep(self, tensor: Tensor, name: str) -> None:
        self._names[id(tensor)] = name
        self._kept.append(tensor)
        # A copy: a later call may work in place.
        self.values[name] = tensor.detach().float().numpy().copy()


def _macs(kind: str, args: tuple[Any, ...], made: Tensor) -> int:
    operands = list(_tensors(args))
    if len(operands) < 2:
        return 0
    if kind == "Conv":
        return made.numel() * operands[1][0].numel()
    if kind == "ConvTranspose":
        return operands[0].numel() * operands[1][0].numel()
    return made.numel() * int(operands[0].shape[-1]) if kind in ("Gemm", "MatMul") else 0


def _tensors(value: object) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and mappings."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
