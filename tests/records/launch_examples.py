"""The two files of a launch, plan and trace, with each optional field set: what agents read and write."""

from __future__ import annotations

from edgebench import records as r

PLAN = r.Plan(
    plan_id="p-1",
    mode="measure",
    runtime="onnxruntime",
    artifacts=(
        r.PlannedArtifact(
            key="a1b2c3",
            files={"onnx": "/device/a1b2c3/model.onnx"},
            batches=((r.TensorFile(name="image", shape=(1, 3, 8, 8), dtype="float32", path="/device/in0.bin"),),),
            outputs=("logits",),
        ),
    ),
    options={"intra_op_num_threads": 1, "arena": True, "log": "warning", "ratio": 0.5},
    threads=1,
    cores=(0,),
    schedule=r.Schedule(),
    deadline_s=60.0,
    canary_library="/device/canary.so",
    thermal_zones={"cpu": "/sys/class/thermal/thermal_zone0/temp"},
    commands=(
        r.Command(
            name="trtexec",
            argv=("/usr/src/tensorrt/bin/trtexec", "--loadEngine=/device/a.engine"),
            output="/device/launch/trtexec.txt",
            files={"times": "/device/launch/times.json"},
        ),
    ),
    beside=(r.Command(name="tegrastats", argv=("/usr/bin/tegrastats",), output="/device/launch/said"),),
    work_dir="/device/launch",
    trace_path="/device/launch/trace.jsonl",
)

TRACE = r.Trace(
    rows=(
        r.HeaderRow(
            schema=1,
            plan_id="p-1",
            mode="profile",
            agent="python",
            agent_version="0.1.0",
            clock="CLOCK_MONOTONIC",
            t_ns=1_000,
            boot_minus_monotonic_ns=0,
            pid=42,
            host={"machine": "x86_64", "python": "3.11.2"},
            cores_requested=(0,),
            cores_allowed=(0,),
            canary_source="library",
        ),
        r.SensorsRow(
            t_ns=1_500,
            period_ms=500,
            cores=(1,),
            read_cost_ns={"temperature cpu": 9_000},
            left_out=("battery voltage",),
        ),
        r.LoadRow(
            artifact=0,
            t_ns=2_000,
            import_ns=300,
            load_ns=400,
            runtime_version="1.32.0",
            precision_computed="fp32",
            resolved={"providers": "CPUExecutionProvider"},
            computed_on="accelerator",
        ),
        r.CanaryRow(
            when="before", t_ns=3_000, settle_ns=10, clock_ns=11, throughput_ns=12, memory_ns=13, clock_ghz=2.5
        ),
        r.WarmupRow(artifact=0, t_ns=4_000, iterations_ns=(9, 7, 6), settled=True),
        r.IterationsRow(artifact=0, t_ns=5_000, stages={"net": (6, 5, 6)}, cores=(0, 0, 0), dropped=2),
        r.IterationsRow(
            artifact=0,
            t_ns=5_500,
            stages={"net": (6, 5)},
            cores=(),
            dropped=0,
            transfers={"h2d": (1, 1), "d2h": (1, 2)},
        ),
        r.TelemetryRow(
            t_ns=6_000,
            frequency_khz={"0": 2_000_000},
            temperature_c={"cpu": 41.5},
            steal_ms=0.0,
            involuntary_switches=1,
            major_faults=0,
            cpu_time_ns=55,
            cores_busy_ms=60.0,
        ),
        r.OutputRow(artifact=0, batch=0, name="logits", shape=(1, 10), dtype="float32", path="out0.bin"),
        r.ProgramRow(
            name="trtexec",
            t_ns=6_100,
            end_ns=6_900,
            status=0,
            cpu_time_ns=300,
            memory_peak_bytes=2_000_000,
            files={"output": "trtexec.txt"},
        ),
        r.MonitorRow(
            name="tegrastats",
            t_ns=6_100,
            period_ms=500,
            cost_share=0.004,
            gpu_percent=(63, None),
            gpu_mhz=(621, None),
            memory_mhz=(2133, 2133),
            temperature_c={"gpu": (53.3, 53.5)},
            power_mw={"VDD_IN": (12479, None)},
            total_rail="VDD_IN",
        ),
        r.LayersRow(
            artifact=0,
            t_ns=7_000,
            total_ns=(20, 21),
            layers=(r.LayerTiming(name="conv", op="Conv", times_ns=(15, 16), bytes_moved=64),),
            graph="optimized.onnx",
        ),
        r.ErrorRow(t_ns=8_000, code="example", message="a real trace has either this row or the next"),
        r.EndRow(t_ns=9_000, boot_minus_monotonic_ns=0, rows=10, iterations=3, memory_peak_bytes=1_000_000),
    )
)
