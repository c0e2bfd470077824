"""Does the agent's timed loop see what a bare loop sees? Both over one ONNX Runtime session, in many fresh processes.

Each launch loads the model once through the agent's own session and runs short blocks of both loops in fours, in an order drawn
anew (ABBA or BAAB). A four gives one log ratio of its two medians, a launch the median of its fours': a burst of other work
that slows one loop spoils a four, not a launch. The launch is the unit; the goal: the 95 % t interval of the mean ratio lies
inside [0.99, 1.01].

    .venv/bin/python -m benchmarks.agent_overhead                      # mobileone_s0, from the cache or exported now
    .venv/bin/python -m benchmarks.agent_overhead --onnx MODEL.onnx --launches 24
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy import stats

from edgebench.agent import host, sessions
from edgebench.agent.timing import quiet_interpreter, timed_block, warm_up
from edgebench.device.host import HostDevice
from edgebench.runtime import get_runtime
from edgebench.runtime.launcher import agent_environment

GOAL = (0.99, 1.01)
LAUNCHES_LEAST = 20
BLOCK_ITERATIONS = 6
FOURS = 25
CHILD_TIMEOUT_S = 120.0


def bare_block(
    run: Callable[[list[str], dict[str, Any]], object], names: list[str], feeds: dict[str, Any]
) -> list[int]:
    """What anybody would write."""
    durations = []
    for _ in range(BLOCK_ITERATIONS):
        start = time.monotonic_ns()
        run(names, feeds)
        durations.append(time.monotonic_ns() - start)
    return durations


def launch(model: str, core: int, seed: int) -> float:
    """One launch in this process: the median log ratio, agent over bare."""
    host.pin([core], 1)
    import numpy as np

    runtime = sessions.import_runtime("onnxruntime")
    options = get_runtime("onnxruntime").options("fp32", 1)
    loaded: Any = runtime.load(sessions.Request({"onnx": model}, dict(options), 1, ".", None))
    bare = loaded._session
    generator = np.random.default_rng(seed)
    feeds = {i.name: generator.standard_normal(i.shape, dtype=np.float32) for i in bare.get_inputs()}
    names = [output.name for output in bare.get_outputs()]
    run = loaded.prepare(feeds)
    core_reader = host.core_reader()
    loops: dict[str, Callable[[], list[int]]] = {
        "agent": lambda: timed_block(run, core_reader, BLOCK_ITERATIONS, BLOCK_ITERATIONS, 0)[0],
        "bare": lambda: bare_block(bare.run, names, feeds),
    }
    order = random.Random(seed)  # noqa: S311  not for secrets
    ratios = []
    with quiet_interpreter():
        warm_up(run, 5, 0.03, 3000)
        for _ in range(FOURS):
            seen: dict[str, list[int]] = {"agent": [], "bare": []}
            first, second = order.sample(["agent", "bare"], 2)
            for loop in (first, second, second, first):
                seen[loop] += loops[loop]()
            ratios.append(math.log(statistics.median(seen["agent"]) / statistics.median(seen["bare"])))
    return statistics.median(ratios)


def in_fresh_process(model: str, core: int, seed: int) -> float:
    """``launch`` in a process of its own, in the environment that the agent gets."""
    command = [sys.executable, "-m", "benchmarks.agent_overhead", "--onnx", model, "--child", str(core), str(seed)]
    done = subprocess.run(
        command, env=agent_environment(1), stdout=subprocess.PIPE, text=True, timeout=CHILD_TIMEOUT_S, check=True
    )
    return float(done.stdout)


def cached_model() -> str:
    """mobileone_s0 as edgebench times it."""
    from edgebench.catalog import resolve_model
    from edgebench.export.pipeline import obtain
    from edgebench.runtime.launcher import plan_artifact

    artifact, folder = obtain(resolve_model("mobileone_s0")[0], format="onnx")
    return plan_artifact(artifact, folder).files["onnx"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", help="an .onnx file with fixed fp32 inputs; without it mobileone_s0")
    parser.add_argument("--launches", type=int, default=24)
    parser.add_argument("--child", nargs=2, type=int, metavar=("CORE", "SEED"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.child:
        print(repr(launch(flags.onnx, *flags.child)))
        return 0
    if flags.launches < LAUNCHES_LEAST:
        parser.error(f"--launches must be at least {LAUNCHES_LEAST}")
    model = str(Path(flags.onnx).resolve()) if flags.onnx else cached_model()
    core = HostDevice().default_cores(1)[0]
    logs = []
    for seed in range(flags.launches):
        logs.append(in_fresh_process(model, core, seed))
        print(f"launch {seed + 1:2}: ratio {math.exp(logs[-1]):.4f}", file=sys.stderr)
    mean = statistics.mean(logs)
    half = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    low, high = math.exp(mean - half), math.exp(mean + half)
    inside = GOAL[0] <= low and high <= GOAL[1]
    print(f"agent / bare loop over {len(logs)} launches: {math.exp(mean):.5f}, 95 % interval [{low:.5f}, {high:.5f}]")
    print(f"inside [{GOAL[0]}, {GOAL[1]}]: {'yes' if inside else 'NO'}")
    return 0 if inside else 1


if __name__ == "__main__":
    raise SystemExit(main())
