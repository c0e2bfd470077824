"""A stand-in for NVIDIA's ``trtexec``, for machines without a GPU: no engine is built, and no time that it tells is a GPU's.

It takes the options that edgebench gives, keeps the ONNX file itself as "the engine" (with a line before it that names a
version), computes with ONNX Runtime on the CPU, and writes what the real one writes: the console of 8 to 10, the files of
``--exportTimes`` (before 8.5 with the rows of the warm-up), ``--exportProfile``, ``--exportLayerInfo`` and ``--exportOutput``.

Which version it is, with that one's options, is told by ``$JETSON/trtexec_version``, 10.3.0 where there is none. How it fails
is chosen by words in ``$JETSON/trtexec_fails``: how, whether of a *build* or a *run* alone, and after how many runs that time.
Its command lines are kept in ``$JETSON/trtexec_calls``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

STATE = Path(os.environ["JETSON"])
OPTIONS = (
    *("--onnx=<file>", "--noTF32", "--saveEngine=<file>", "--loadEngine=<file>", "--timingCacheFile=<file>"),
    *("--loadInputs=spec", "--iterations=N", "--warmUp=N", "--duration=N"),
    *("--exportTimes=<file>", "--exportOutput=<file>", "--exportProfile=<file>"),
)
WEAK_TYPES = ("--fp16", "--int8")
DLA = ("--useDLACore=N", "--allowGPUFallback")
SINCE_8_4 = (
    *("--memPoolSize=poolspec", "--profilingVerbosity=mode", "--skipInference", "--exportLayerInfo=<file>"),
    "--stronglyTyped",
)
VERSIONS = {
    "8.0.1": ("8001", (*OPTIONS, *WEAK_TYPES, *DLA, "--workspace=N", "--nvtxMode=mode", "--buildOnly")),
    "10.3.0": ("100300", (*OPTIONS, *WEAK_TYPES, *DLA, *SINCE_8_4)),
    "11.0.0": ("110000", (*OPTIONS, *SINCE_8_4)),
}
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


def state(name: str) -> str:
    """What a file of the board's state says, nothing where there is none."""
    path = STATE / name
    return path.read_text().strip() if path.exists() else ""


VERSION = state("trtexec_version") or "10.3.0"
NUMBER, KNOWN = VERSIONS[VERSION]
OLD = VERSION.startswith("8.0.")
TAG = f"stand-in {NUMBER}".encode()


def ending(word: str) -> str:
    """The first and the last line's words."""
    return f"&&&& {word} TensorRT.trtexec [TensorRT v{NUMBER}] # {' '.join(sys.argv)}"


def failed(words: str) -> int:
    """The exit status, when the reason is said."""
    write(f"[11/26/2026-09:00:00] [E] {words}")
    write(ending("FAILED"))
    return 1


def failure(flags: dict[str, str]) -> str:
    """How this call is to fail, nothing where it is to go well."""
    kind, when, sound = (*state("trtexec_fails").split(), "", "", "")[:3]
    timed = sum("--exportTimes=" in line for line in state("trtexec_calls").splitlines())
    due = when in ("", "build" if "onnx" in flags else "run") and timed > int(sound or -1)
    return kind if due else ""


def main() -> int:
    """The exit status."""
    write(ending("RUNNING"))
    flags = dict(word[2:].partition("=")[::2] for word in sys.argv[1:])
    if "help" in flags:
        write("=== Options ===\n" + "\n".join(f"  {option:<28}As the real one has it" for option in KNOWN))
        return 0
    with (STATE / "trtexec_calls").open("a", encoding="utf-8") as log:
        log.write(" ".join(sys.argv) + "\n")
    if unknown := flags.keys() - {option[2:].partition("=")[0] for option in KNOWN}:
        return failed(f"Unknown option: --{min(unknown)}")
    say("Selected Device: stand-in, no GPU")
    kind = failure(flags)
    if kind in FAILURES:
        return failed(FAILURES[kind])
    if "onnx" in flags:
        Path(flags["saveEngine"]).write_bytes(TAG + b"\n" + Path(flags["onnx"]).read_bytes())
        with Path(flags["timingCacheFile"]).open("ab") as cache:
            cache.write(b"stand-in\n")
    else:
        tag, _, model = Path(flags["loadEngine"]).read_bytes().partition(b"\n")
        if tag != TAG:
            return failed(FAILURES["version"])
        infer(flags, model, kind)
        if kind == "silent":
            return 0
        if kind == "killed":
            os.kill(os.getpid(), 9)
    write(ending("PASSED"))
    return 0


def inputs_of(spec: str) -> dict[str, str]:
    """The file by input. Quotes around a name are of no meaning to 8.0."""
    files = {}
    for each in spec.split(","):
        name, _, path = each.rpartition(":")
        files[name if OLD else name.strip("'")] = path
    return files


def infer(flags: dict[str, str], model: bytes, kind: str) -> None:
    """Runs "the engine" and writes the files that ``flags`` name: none where it fails as *unwritten*."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    say("Engine loaded in 0.0125 sec.")
    files, rng = inputs_of(flags["loadInputs"]), np.random.default_rng()
    feeds: dict[str, Any] = {}
    for node in session.get_inputs():
        if node.name in files:
            feeds[node.name] = np.fromfile(files[node.name], dtype=np.float32).reshape(node.shape)
        else:
            # As the real one does with an input that it is told nothing of.
            feeds[node.name] = rng.standard_normal(node.shape, dtype=np.float32)
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
    if kind == "unwritten":
        return
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
            for start, end in (rows if OLD else rows[warm:])
        ]
        Path(flags["exportTimes"]).write_text(json.dumps(times))
    if "exportOutput" in flags:
        document = [
            {
                "name": node.name,
                "dimensions": "x".join(map(str, array.shape)),
                "values": [float(f"{value + (kind == 'wrong'):.6g}") for value in array.ravel().tolist()],
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
            **({} if OLD else {"medianMs": each_ms}),
            "percentage": 100 / len(layers),
        }
        for name, _, _ in layers
    ]
    Path(flags["exportProfile"]).write_text(json.dumps(rows))
    if "exportLayerInfo" not in flags:
        return
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
