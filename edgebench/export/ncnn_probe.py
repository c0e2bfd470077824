"""Loads an ncnn network in a process of its own: a damaged file can end the process, and ncnn talks on stderr.

``python -m edgebench.export.ncnn_probe PARAM BIN`` prints one JSON object: the two return codes and the names of inputs and
outputs. With ``--inputs NPZ --blobs NAME,… --out NPZ`` it also runs the network and saves those blobs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ncnn
    import numpy as np
    import numpy.typing as npt

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Probe:
    """What ncnn said of a network: return codes (0 is well), names, and its last words."""

    param_code: int
    model_code: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    said: str

    @property
    def loads(self) -> bool:
        """Whether both files were accepted."""
        return self.param_code == 0 and self.model_code == 0


def probe(param: Path, weights: Path) -> Probe:
    """Loads the network; one that crashes or hangs ncnn counts as refused with the code -1."""
    return _run(param, weights, [])


def extract(
    param: Path, weights: Path, inputs: Mapping[str, npt.NDArray[np.generic]], blobs: Sequence[str]
) -> dict[str, npt.NDArray[np.generic]]:
    """The values of ``blobs`` in fp32 for inputs without their batch dimension; a blob that ncnn cannot give is left out."""
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="edgebench-") as name:
        given, out = Path(name, "in.npz"), Path(name, "out.npz")
        np.savez(given, allow_pickle=False, **inputs)
        _run(param, weights, ["--inputs", str(given), "--blobs", ",".join(blobs), "--out", str(out)])
        if not out.is_file():
            return {}
        with np.load(out) as saved:
            return {blob: saved[blob] for blob in saved.files}


def _run(param: Path, weights: Path, arguments: list[str]) -> Probe:
    command = [sys.executable, "-m", __name__, str(param), str(weights), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Probe(-1, -1, (), (), f"no answer within {TIMEOUT_S:.0f} s")
    said = " ".join(done.stderr.split())[-300:]
    if done.returncode != 0:
        return Probe(-1, -1, (), (), said or f"ended with status {done.returncode}")
    answer = json.loads(done.stdout)
    return Probe(answer["param"], answer["model"], tuple(answer["inputs"]), tuple(answer["outputs"]), said)


def _load(param: str, weights: str) -> tuple[ncnn.Net, dict[str, Any]]:
    import ncnn

    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "lightmode"):
        setattr(net.opt, option, False)
    net.opt.num_threads = 1
    answer: dict[str, Any] = {"param": net.load_param(param), "model": -1, "inputs": [], "outputs": []}
    if answer["param"] == 0:
        answer["model"] = net.load_model(weights)
        answer["inputs"], answer["outputs"] = list(net.input_names()), list(net.output_names())
    return net, answer


def _extract(net: ncnn.Net, given: str, blobs: list[str], out: str) -> None:
    import ncnn
    import numpy as np

    with np.load(given) as inputs:
        arrays = {name: np.ascontiguousarray(inputs[name]) for name in inputs.files}
    extractor = net.create_extractor()
    for name, array in arrays.items():
        # A Mat borrows its array's memory without holding it; the clone has its own.
        extractor.input(name, ncnn.Mat(array).clone())
    values = {}
    for blob in blobs:
        code, mat = extractor.extract(blob)
        if code == 0:
            values[blob] = np.array(mat)
    np.savez(out, allow_pickle=False, **values)


def _main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("param")
    parser.add_argument("bin")
    parser.add_argument("--inputs")
    parser.add_argument("--blobs", default="")
    parser.add_argument("--out")
    flags = parser.parse_args()
    net, answer = _load(flags.param, flags.bin)
    if flags.inputs and answer["model"] == 0:
        _extract(net, flags.inputs, flags.blobs.split(","), flags.out)
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(_main())
