"""Does it matter that weights are random? One model a family, with random and with trained-like weights.

Trained-like means the spread of scales and the sparsity that training leaves, and no denormals. Both are dealt round-robin in
one session, and held against each other round by round. Resumable: it goes on where its folder stands.

    python -m benchmarks.random_weights build/random_weights --out reports/tables/random-weights.md
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from benchmarks.bench import opened, prepared, record_of, surroundings
from edgebench.analyze.statistics import location_interval
from edgebench.analyze.summary import launch_median_ms, summarize
from edgebench.catalog import load_models, resolve_model
from edgebench.files import write_atomic
from edgebench.measure.prepare import Prepared
from edgebench.measure.session import Session
from edgebench.measure.store import RunStore
from edgebench.records import Series

LAUNCHES = 6


@dataclass(frozen=True)
class Pair:
    """One model's two series."""

    random: Series
    trained_like: Series


def checkpoint(name: str, folder: Path) -> Path:
    """Trained-like weights of the training form, as a user's checkpoint."""
    path = folder / f"{name}.pth"
    if not path.is_file():
        import torch

        from edgebench.export.build import build
        from edgebench.export.weights import trained_like

        model = resolve_model(name)[0]
        built = build(model.build, inputs=model.inputs)
        trained_like(built.module, built.inputs)
        torch.save(built.module.state_dict(), path)
    return path


def measure(folder: Path, names: list[str]) -> None:
    bench = opened()
    cores = bench.device.default_cores(1)
    both = Prepared()
    for name in names:
        for weights in (None, checkpoint(name, folder)):
            ready = prepared(bench, (name,), ("onnxruntime",), cores, weights=weights)
            both.series.append(
                replace(ready.series[0], label=f"{name} {'random' if weights is None else 'trained-like'}")
            )
            both.subjects.append(ready.subjects[0])
            print(both.series[-1].label, "is ready", flush=True)
    at = surroundings(bench, folder, cores, gate=True)
    store = RunStore(folder)
    Session(record_of("random_weights", store, both.series, LAUNCHES, bench, at), both.subjects, at).run()


def report(folder: Path, out: Path | None) -> None:
    store = RunStore(folder)
    record = store.load()
    lines = [
        "# Latency with random and with trained-like weights",
        "",
        f"Made by `python -m benchmarks.random_weights`, ONNX Runtime, one thread, {LAUNCHES} launches each,",
        f"dealt round-robin from {record.started_utc} to {record.ended_utc}, on {record.device.model}.",
        "",
        "| model | random ms | trained-like ms | ratio | 95 % of the ratio | agree | verdicts |",
        "|---|---|---|---|---|---|---|",
    ]
    agreeing = 0
    pairs = [Pair(*record.series[start : start + 2]) for start in range(0, len(record.series), 2)]
    for pair in pairs:
        # A launch's index is its round; a round in which either side was discarded is left out.
        first, second = (
            {launch.index: launch_median_ms(traces[launch.index]) for launch in series.launches if launch.used}
            for series in (pair.random, pair.trained_like)
            for traces in [store.traces(series)]
        )
        ratios = [second[index] / first[index] for index in sorted(first.keys() & second.keys())]
        interval = location_interval(ratios)
        assert interval is not None
        agree = interval[0] <= 1.0 <= interval[1]
        agreeing += agree
        summaries = [summarize(s, store.traces(s), record.policy) for s in (pair.random, pair.trained_like)]
        middle = math.exp(sum(map(math.log, ratios)) / len(ratios))
        lines.append(
            f"| {pair.random.model.name} | {summaries[0].median_ms:.3g} | {summaries[1].median_ms:.3g} | {middle:.3f}"
            f" | {interval[0]:.3f} to {interval[1]:.3f} | {'yes' if agree else 'NO'}"
            f" | {summaries[0].verdict}, {summaries[1].verdict} |"
        )
    lines += [
        "",
        f"{agreeing} of {len(pairs)} agree: 1 lies in the interval of the ratio (at 95 %, one in twenty would not by chance).",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if out is not None:
        write_atomic(out, text.encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        measure(arguments.folder, [family.default[0] for family in load_models().values()])
    report(arguments.folder, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
