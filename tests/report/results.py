"""Results to draw, without a run."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from edgebench.records import Fidelity, ParityCheck, PublishedFigure, Result
from tests.measure.fakes import series


def result(model: str = "mobileone_s0", **changes: Any) -> Result:
    """A VALID result of ``model`` on ONNX Runtime, changed as asked; ``identity`` takes a dict of fields."""
    card = {"runtime": "onnxruntime", "runtime_version": "1.32.0"} | changes.pop("identity", {})
    identity = replace(series(model).identity, **card)
    values: dict[str, Any] = {
        "run_id": "20261122-170000-x-0000",
        "label": f"{model}-onnxruntime-fp32-t1",
        "model": model,
        "family": "mobileone",
        "params": 2_079_000,
        "macs": 275_100_000,
        "artifact": "abc",
        "format": "onnx",
        "target": "host",
        "device": "Fake CPU",
        "runtime": "onnxruntime",
        "precision": "fp32",
        "threads": 1,
        "weights": "random weights, seed 0",
        "median_ms": 6.0,
        "ci95_ms": (5.9, 6.1),
        "p90_ms": 6.4,
        "min_ms": 5.7,
        "launches": 10,
        "launches_suspect": 0,
        "launches_invalid": 0,
        "launches_failed": 0,
        "iterations": 1000,
        "launch_medians_ms": (6.0,) * 10,
        "memory_peak_bytes": 50 * 2**20,
        "verdict": "VALID",
        "reasons": (),
        "parity": Fidelity(
            checks=(
                ParityCheck(
                    step="onnxruntime",
                    against="PyTorch",
                    error_relative=3.1e-7,
                    tolerance_relative=1e-4,
                    batches=3,
                    precision="fp32",
                    passed=True,
                ),
            )
        ),
        "published": (
            PublishedFigure(value=0.79, unit="ms", device="iPhone 12 Pro", runtime="Core ML", source="the paper"),
        ),
        "identity": identity,
    }
    return Result(**(values | changes))
