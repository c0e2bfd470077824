"""What does the native harness add to a bare loop over the same loaded ncnn network, and what does its telemetry add?

Each launch is a fresh process that runs short blocks of both in fours (ABBA or BAAB) and gives the median of its fours' ratios
of medians. The launch is the unit; goals: the 95 % t interval of the mean log ratio lies inside [0.99, 1.01] for the loop and
inside [0.995, 1.005] for telemetry on against off.

    .venv/bin/python -m benchmarks.harness_overhead
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from scipy import stats

from edgebench.catalog import resolve_model
from edgebench.device.host import HostDevice
from edgebench.export.pipeline import obtain
from edgebench.records import Plan
from edgebench.records.codec import encode
from edgebench.runtime import get_runtime
from edgebench.runtime.harness_build import build_overhead
from edgebench.runtime.launcher import agent_environment, plan_artifact

GOALS = {"loop": (0.99, 1.01), "telemetry": (0.995, 1.005)}
SAYS = {"loop": "harness / bare loop", "telemetry": "telemetry on / off"}
TIMEOUT_S = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobileone_s0")
    parser.add_argument("--launches", type=int, default=24)
    flags = parser.parse_args()
    artifact, folder = obtain(resolve_model(flags.model)[0], format="ncnn")
    device = HostDevice()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="edgebench-") as name:
        program = build_overhead(Path(name, "build"))
        plan = Plan(
            plan_id="overhead",
            mode="measure",
            runtime="ncnn",
            artifacts=(plan_artifact(artifact, folder),),
            options=get_runtime("ncnn").options("fp32", 1),
            cores=device.default_cores(1),
            thermal_zones=device.thermal_zones(),
            work_dir=name,
            trace_path=str(Path(name, "trace.jsonl")),
        )
        Path(name, "plan.json").write_bytes(encode(plan))
        for what, goal in GOALS.items():
            logs = []
            for seed in range(flags.launches):
                command = [str(program), str(Path(name, "plan.json")), what, str(seed)]
                said = subprocess.run(
                    command, env=agent_environment(1), stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=True
                ).stdout
                logs.append(statistics.median(math.log(float(line)) for line in said.split()))
                print(f"{what} launch {seed + 1:2}: ratio {math.exp(logs[-1]):.4f}", file=sys.stderr)
            mean = statistics.mean(logs)
            half = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
            low, high = math.exp(mean - half), math.exp(mean + half)
            inside = goal[0] <= low and high <= goal[1]
            missed += not inside
            print(
                f"{SAYS[what]} over {len(logs)} launches: {math.exp(mean):.5f}, 95 % [{low:.5f}, {high:.5f}],"
                f" inside [{goal[0]}, {goal[1]}]: {'yes' if inside else 'NO'}"
            )
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
