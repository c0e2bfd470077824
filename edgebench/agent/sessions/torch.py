"""PyTorch eager on the CPU: the reference row."""

from __future__ import annotations

import pickle
from typing import Any, Callable, Dict, List

from ..wire import AgentError, Json
from . import Request, file

_PRECISIONS = {"torch.float32": "fp32", "torch.float64": "fp64", "torch.float16": "fp16", "torch.bfloat16": "bf16"}
_LOAD_ERRORS = (OSError, RuntimeError, ImportError, AttributeError, EOFError, pickle.UnpicklingError)


class TorchSession:
    """A pickled module in eval mode, run under inference mode."""

    optimized_graph = None

    def __init__(self, request: Request) -> None:
        import torch

        self.version: str = torch.__version__
        torch.set_num_threads(request.threads)
        torch.set_num_interop_threads(1)
        # For the whole process: entering the guard once an iteration would be timed with it. It ends with its object.
        self._guard = torch.inference_mode()
        self._guard.__enter__()
        path = file("torch", request)
        try:
            # A pickle runs code: the file was written by this user's own export, its hash is checked by the controller.
            self._module = torch.load(path, map_location="cpu", weights_only=False)
        except _LOAD_ERRORS as error:
            raise AgentError("load_failed", "torch cannot load {}: {}".format(path, error)) from error
        if self._module.training:
            raise AgentError("load_failed", "the module in {} is in training mode".format(path))
        kinds = {
            _PRECISIONS.get(str(p.dtype), str(p.dtype)) for p in self._module.parameters() if p.is_floating_point()
        }
        self.computed_on = "cores"
        self.precision_computed = "+".join(sorted(kinds)) or "fp32"
        self.resolved: Dict[str, Any] = {
            "threads": torch.get_num_threads(),
            "interop_threads": torch.get_num_interop_threads(),
            "inference_mode": torch.is_inference_mode_enabled(),
            "mkldnn": bool(torch._C._has_mkldnn),
        }

    def run(self, inputs: Dict[str, Any], outputs: List[str]) -> List[Any]:
        """All tensors that the module returns, nested ones in their order."""
        del outputs  # a module's outputs have no names
        try:
            return [tensor.numpy() for tensor in _flat(self._module(*_tensors(inputs)))]
        except RuntimeError as error:
            raise AgentError("run_failed", str(error)) from error

    def prepare(self, inputs: Dict[str, Any]) -> Callable[[], object]:
        """The module's call with its tensors made."""
        module, tensors = self._module, _tensors(inputs)
        self.run(inputs, [])
        return lambda: module(*tensors)

    def own_times(self, runs: int) -> None:
        """None: the call is timed."""

    def layers(self, iterations: int) -> List[Json]:
        """Raises: the reference row is timed as a whole."""
        del iterations
        raise AgentError("bad_plan", "torch eager is the reference row; its layers are not profiled")


def load(request: Request) -> TorchSession:
    """The artifact's file with role ``torch``."""
    return TorchSession(request)


def _tensors(inputs: Dict[str, Any]) -> List[Any]:
    import torch

    return [torch.from_numpy(array) for array in inputs.values()]


def _flat(value: Any) -> List[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _flat(item)]
    raise AgentError("run_failed", "the module returns a {}".format(type(value).__name__))
