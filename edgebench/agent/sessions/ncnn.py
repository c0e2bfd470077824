"""ncnn on the CPU, through its Python binding: whole networks, batch 1."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from typing import Any, Callable, Dict, Iterator, List, Tuple

from ..wire import AgentError, Json
from . import Request, file

_UNKNOWN_LAYER = re.compile(r"layer (\S+) not exists or registered")
_NUMBER = re.compile(r"\d+")


class NcnnSession:
    """A Net whose options are exactly the plan's."""

    optimized_graph = None

    def __init__(self, request: Request) -> None:
        import ncnn

        self.version: str = ncnn.__version__
        self._net = ncnn.Net()
        self.resolved: Dict[str, Any] = _set_options(self._net.opt, dict(request.options, num_threads=request.threads))
        half = bool(self._net.opt.use_fp16_arithmetic) and bool(ncnn.cpu_support_arm_asimdhp())
        self.precision_computed = "fp16" if half else "fp32"
        _load_param(self._net, file("param", request), request.work_dir)
        path = file("bin", request)
        if self._net.load_model(path) != 0:
            raise AgentError("load_failed", "ncnn cannot read the weights {}".format(path))
        self._inputs = _in_order(self._net.input_names())
        self._outputs = _in_order(self._net.output_names())

    def run(self, inputs: Dict[str, Any], outputs: List[str]) -> List[Any]:
        """All outputs in the network's order, with the batch dimension that ncnn does not know put back."""
        import numpy as np

        del outputs  # pnnx gives blobs names of its own; the plan's names go by position
        extractor = self._feed(self._mats(inputs))
        arrays = []
        for name in self._outputs:
            code, mat = extractor.extract(name)
            if code != 0:
                raise AgentError("run_failed", "ncnn cannot compute {}: {}".format(name, code))
            arrays.append(np.array(mat)[np.newaxis])
        return arrays

    def prepare(self, inputs: Dict[str, Any]) -> Callable[[], object]:
        """A fresh extractor, its inputs, its outputs: what one inference costs a program that uses ncnn."""
        mats = self._mats(inputs)
        names = self._outputs

        def run() -> None:
            extractor = self._feed(mats)
            for name in names:
                code, _ = extractor.extract(name)
                if code != 0:
                    raise AgentError("run_failed", "ncnn cannot compute {}: {}".format(name, code))

        run()
        return run

    def layers(self, iterations: int) -> List[Json]:
        """Raises: ncnn's wheel is built without its per-layer hook."""
        del iterations
        raise AgentError("bad_plan", "layers on ncnn need the native harness; the Python wheel has no per-layer timing")

    def _feed(self, mats: List[Tuple[str, Any]]) -> Any:
        extractor = self._net.create_extractor()
        for name, mat in mats:
            if extractor.input(name, mat) != 0:
                raise AgentError("run_failed", "ncnn refuses the input {}".format(name))
        return extractor

    def _mats(self, inputs: Dict[str, Any]) -> List[Tuple[str, Any]]:
        if len(inputs) != len(self._inputs):
            text = "{} inputs where the network has {} ({})"
            raise AgentError("bad_input", text.format(len(inputs), len(self._inputs), ", ".join(self._inputs)))
        return [(blob, _mat(name, array)) for blob, (name, array) in zip(self._inputs, inputs.items())]


def load(request: Request) -> NcnnSession:
    """The artifact's files with the roles ``param`` and ``bin``."""
    return NcnnSession(request)


def _mat(name: str, array: Any) -> Any:
    import ncnn
    import numpy as np

    if array.ndim < 2 or array.shape[0] != 1:
        raise AgentError("bad_input", "ncnn takes batch 1, input {} has shape {}".format(name, list(array.shape)))
    # Mat(array) borrows the array's memory without holding it, and a layer may work in place on what is not shared:
    # the clone owns its data.
    return ncnn.Mat(np.ascontiguousarray(array[0])).clone()


def _set_options(target: Any, wanted: Json) -> Dict[str, Any]:
    """Sets ncnn's options by their own names; returns them as read back."""
    for name, value in wanted.items():
        if not hasattr(target, name):
            raise AgentError("bad_plan", "this ncnn has no option {}".format(name))
        setattr(target, name, value)
    return {name: getattr(target, name) for name in wanted}


def _in_order(names: List[str]) -> List[str]:
    """pnnx's in0, in1, … by their numbers, as ncnn lists blobs in the graph's order; other names stay as they are."""
    if not all(_NUMBER.search(name) for name in names):
        return list(names)
    stems = {_NUMBER.sub("", name) for name in names}
    return sorted(names, key=lambda name: int(_NUMBER.findall(name)[-1])) if len(stems) == 1 else list(names)


def _load_param(net: Any, path: str, folder: str) -> None:
    """ncnn says what it misses on stderr only."""
    with tempfile.TemporaryFile(dir=folder) as said:
        with _stderr_into(said.fileno()):
            code = net.load_param(path)
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    sys.stderr.write(text)
    if code == 0:
        return
    unknown = _UNKNOWN_LAYER.search(text)
    if unknown:
        raise AgentError("unsupported_operator", "ncnn has no layer {}".format(unknown.group(1)))
    raise AgentError("load_failed", "ncnn cannot read the graph {}: {}".format(path, text.strip() or code))


@contextlib.contextmanager
def _stderr_into(descriptor: int) -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
