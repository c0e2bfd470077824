"""A stand-in for NVIDIA's ``trtexec``, for machines without a GPU: no engine is built, and no time that it tells is a GPU's.

It takes the options that edgebench gives, keeps the ONNX file itself as "the engine" (with a line before it that names a
version), computes with ONNX Runtime on the CPU, and writes what the real one writes: the console of 8 to 10, the files of
``--exportTimes`` (warm-up rows among them), ``--exportProfile``, ``--exportLayerInfo`` and ``--exportOutput``. How it fails
is chosen by a word in ``$JETSON/trtexec_fails``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

VERSION, NUMBER = (10, 3, 0), "100300"
HELP = """=== Model Options ===
  --onnx=<file>               ONNX model
=== Build Options ===
  --fp16                      Enable fp16 precision
  --noTF32                    Disable tf32 precision
  --stronglyTyped             Create a strongly typed network
  --profilingVerbosity=mode   Specify profiling verbosity
  --saveEngine=<file>         Save the serialized engine
  --loadEngine=<file>         Load a serialized engine
  --timingCacheFile=<file>    Save/load the serialized global timing cache
  --memPoolSize=poolspec      Specify the size constraints
  --skipInference             Exit after the engine has been built
=== Inference Options ===
  --loadInputs=spec           Load input values from files
  --iterations=N              Run at least N inference iterations
  --warmUp=N                  Run for N milliseconds to warmup
  --duration=N                Run performance measurements for at least N seconds
=== Reporting Options ===
  --exportTimes=<file>        Write the timing results in a json file
  --exportOutput=<file>       Write the output tensors to a json file
  --exportProfile=<file>      Write the profile information per layer in a json file
  --exportLayerInfo=<file>    Write the layer information of the engine in a json file
"""
FAILURES = {
    "memory": "[TRT] Error Code 2: OutOfMemory (Requested size was 4294967296 bytes.)",
    "operator": "[TRT] No importer registered for op: GridSample. Attempting to import as plugin.",
    "version": "[TRT] IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Version tag does not match.)",
}


def write(line: str) -> None:
    """As soon as it is known: whoever is killed has said it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line of the console."""
    write(f"[11/26/2026-09:00:00] [I] {text}")


def ending(word: str) -> str:
    """The first and the last line's words."""
    return f"&&&& {word} TensorRT.trtexec [TensorRT v{NUMBER}] # {' '.join(sys.argv)}"


def main() -> int:
    """The exit status."""
    write(ending("RUNNING"))
    flags = dict(word[2:].partition("=")[::2] for word in sys.argv[1:])
    if "help" in flags:
        write(HELP)
        return 0
    known = {line.split()[0][2:].partition("=")[0] for line in HELP.splitlines() if line.strip().startswith("--")}
    if unknown := flags.keys() - known:
        write(f"[11/26/2026-09:00:00] [E] Unknown option: --{min(unknown)}")
        write(ending("FAILED"))
        return 1
    say("Selected Device: stand-in, no GPU")
    failure = Path(os.environ["JETSON"], "trtexec_fails")
    kind, _, when = failure.read_text().strip().partition(" ") if failure.exists() else ("", "", "")
    if kind in FAILURES and when in ("", "build" if "onnx" in flags else "run"):
        write(f"[11/26/2026-09:00:00] [E] {FAILURES[kind]}")
        write(ending("FAILED"))
        return 1
    if "onnx" in flags:
        Path(flags["saveEngine"]).write_bytes(f"stand-in {NUMBER}\n".encode() + Path(flags["onnx"]).read_bytes())
        with Path(flags["timingCacheFile"]).open("ab") as cache:
            cache.write(b"stand-in\n")
        with Path(os.environ["JETSON"], "engines_built").open("a", encoding="utf-8") as log:
            log.write(" ".join(sys.argv) + "\n")
    else:
        infer(flags)
        if kind == "silent":
            return 0
        if kind == "killed":
            os.kill(os.getpid(), 9)
    write(ending("PASSED"))
    return 0


def infer(flags: dict[str, str]) -> None:
    """Runs "the engine" and writes the files that ``flags`` name."""
    import numpy as np
    import onnxruntime

    _, _, model = Path(flags["loadEngine"]).read_bytes().partition(b"\n")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    say("Engine loaded in 0.0125 sec.")
    files = dict(each.rsplit(":", 1) for each in flags["loadInputs"].split(","))
    feeds = {
        node.name: np.fromfile(files[f"'{node.name}'"], dtype=np.float32).reshape(node.shape)
        for node in session.get_inputs()
    }
    warmup_ms = float(flags["warmUp"])
    rows, began = [], time.perf_counter()
    least, until_ms = int(flags["iterations"]), warmup_ms + float(flags["duration"]) * 1e3
    outputs = session.run(None, feeds)
    while True:
        start = (time.perf_counter() - began) * 1e3
        session.run(None, feeds)
        end = (time.perf_counter() - began) * 1e3
        rows.append((start, end))
        counted = sum(start >= warmup_ms for start, _ in rows)
        if counted >= least and end >= until_ms:
            break
    warm = len(rows) - counted
    say(f"Warmup completed {warm} queries over {warmup_ms:g} ms")
    say(f"Timing trace has {counted} queries over {(rows[-1][1] - warmup_ms) / 1e3:.5f} s")
    if "exportTimes" in flags:
        times = [
            {
                "startEnqMs": start,
                "startComputeMs": start,
                "endComputeMs": end,
                "h2dMs": 0.25,
                "computeMs": end - start,
                "d2hMs": 0.125,
                "latencyMs": end - start + 0.375,
            }
            for start, end in rows
        ]
        Path(flags["exportTimes"]).write_text(json.dumps(times))
    if "exportOutput" in flags:
        document = [
            {
                "name": node.name,
                "dimensions": "x".join(map(str, array.shape)),
                "values": [float(f"{value:.6g}") for value in array.ravel().tolist()],
            }
            for node, array in zip(session.get_outputs(), outputs, strict=True)
        ]
        Path(flags["exportOutput"]).write_text(json.dumps(document))
    if "exportProfile" in flags:
        export_layers(flags, model, counted, [end - start for start, end in rows[warm:]])


def export_layers(flags: dict[str, str], model: bytes, count: int, times_ms: list[float]) -> None:
    """A layer for each convolution with what follows it, named as fused ones are, and a reformat before the first."""
    import onnx

    layers = [("Reformatting CopyNode for Input Tensor 0 to first", "Reformat", [])]
    for node in onnx.load_from_string(model).graph.node:
        if node.op_type == "Conv" or len(layers) == 1:
            layers.append((node.name, "CaskConvolution", [node.name]))
        elif node.op_type != "Constant":
            name, kind, nodes = layers[-1]
            layers[-1] = (f"{name} + {node.name}", kind, [*nodes, node.name])
    each_ms = sum(times_ms) / len(times_ms) / len(layers)
    rows = [{"count": count}]
    rows += [
        {
            "name": name,
            "timeMs": each_ms * count,
            "averageMs": each_ms,
            "medianMs": each_ms,
            "percentage": 100 / len(layers),
        }
        for name, _, _ in layers
    ]
    Path(flags["exportProfile"]).write_text(json.dumps(rows))
    info = [
        {
            "Name": name,
            "LayerType": kind,
            "Metadata": "\x1e".join(f"[ONNX Layer: {node}]" for node in nodes),
        }
        for name, kind, nodes in layers
    ]
    Path(flags["exportLayerInfo"]).write_text(json.dumps({"Layers": info, "Bindings": []}))


if __name__ == "__main__":
    sys.exit(main())
