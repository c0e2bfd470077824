"""One full example of every file format, with each optional field set: the golden files are these, encoded.

``python -m tests.records.examples`` writes the golden files of the present versions. Do that only while a version is not
released; afterwards raise the version, add a migration, and keep the old golden file as it is.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgebench import records as r
from edgebench.records.codec import encode
from edgebench.records.schema import schema_file_name
from tests.records.check_examples import EXPLANATION, baseline_of, check_of
from tests.records.launch_examples import PLAN, TRACE

GOLDEN = Path(__file__).parent.parent / "golden"

CHECK = r.ParityCheck(
    step="onnxruntime",
    against="PyTorch, fused",
    error_relative=1.2e-6,
    tolerance_relative=1e-4,
    batches=3,
    precision="fp32",
    threads=1,
    runtime_version="1.32.0",
    options={"graph_optimization_level": "all", "intra_op_num_threads": 1, "spin": False, "ratio": 0.5},
    passed=True,
    note="seeded inputs",
)
FIDELITY = r.Fidelity(checks=(CHECK,), not_checked=None)
MODEL = r.ModelIdentity(
    name="mobileone_s0",
    family="mobileone",
    source="timm:mobileone_s0",
    source_version="timm 1.0.31",
    reparameterized=True,
    params=2_078_504,
    macs=275_100_000,
)
WEIGHTS = r.WeightsInfo(kind="random", description="random weights (seed 0)", sha256="0f" * 32)
IMAGE = r.TensorSpec(name="image", shape=(1, 3, 224, 224))
PUBLISHED = r.PublishedFigure(
    value=0.79, unit="ms", device="iPhone 12 Pro", runtime="Core ML", source="a README", at_least=True
)
IDENTITY = r.Identity(
    model="mobileone_s0",
    model_source="timm:mobileone_s0",
    model_source_version="timm 1.0.31",
    weights="random weights (seed 0)",
    weights_sha256="0f" * 32,
    reparameterized=True,
    artifact="a1b2c3",
    format="onnx",
    precision_stored="fp32",
    precision_computed="fp32",
    runtime="onnxruntime",
    runtime_version="1.32.0",
    runtime_options={"intra_op_num_threads": 1},
    inputs={"image": (1, 3, 224, 224)},
    threads=1,
    cores=(0,),
    agent="python",
    canary_source="library",
    gate="canaries",
    device_id="d34db33f",
    device_model="a machine",
    soc=None,
    os_build="Linux 6.1",
    machine="x86_64",
    governor=None,
    power_source=None,
)

ARTIFACT = r.Artifact(
    key="a1b2c3",
    model=MODEL,
    weights=WEIGHTS,
    format="onnx",
    precision="fp32",
    inputs=(IMAGE,),
    outputs=(r.TensorSpec(name="logits", shape=(1, 1000)),),
    files=(r.ArtifactFile(role="onnx", path="model.onnx", sha256="0a" * 32, size_bytes=8_400_000),),
    reference_inputs=(("in0_0.bin",),),
    reference_outputs=(("out0_0.bin",),),
    fidelity=FIDELITY,
    tools={"torch": "2.14.1"},
)

SIDECAR = r.Sidecar(
    modules={"": "MobileOne", "stem": "Conv2d"},
    nodes=(
        r.SidecarNode(
            name="node_conv2d",
            op="Conv",
            inputs=("image", "stem.weight"),
            outputs=("conv2d",),
            scopes=("", "stem"),
            weight_module="stem",
            macs=1_000,
        ),
    ),
)

_LAUNCHES = (
    r.LaunchRecord(
        index=0,
        kind="measure",
        session=0,
        started_utc="2026-11-22T12:00:00Z",
        gate="passed",
        gate_wait_ms=12,
        trace="traces/0.jsonl",
        validity="SUSPECT",
        reasons=("the throughput canary rose by 9 % (limit 5 %)",),
    ),
    r.LaunchRecord(
        index=1,
        kind="profile",
        session=0,
        started_utc="2026-11-22T12:00:05Z",
        gate="skipped",
        gate_wait_ms=0,
        trace=None,
        validity="FAILED",
        reasons=("the agent wrote no trace",),
    ),
)

RUN = r.RunRecord(
    run_id="20261122-120000-abcd",
    tool_version="0.1.0",
    command=("edgebench", "run", "mobileone"),
    started_utc="2026-11-22T12:00:00Z",
    ended_utc="2026-11-22T12:01:00Z",
    state="complete",
    target=r.TargetSpec(
        name="host",
        summary="this machine",
        platform="host",
        runtimes=("onnxruntime", "ncnn"),
        threads=1,
        cores="0",
        gate=r.GateLimits(start_max_c=60.0, max_wait_s=30.0, canary_ratio_max=1.05),
    ),
    device=r.DeviceFacts(
        id="d34db33f",
        model="a machine",
        soc=None,
        os_build="Linux 6.1",
        machine="x86_64",
        clusters=((0, 1),),
        memory_bytes=8_000_000_000,
        governor="performance",
        power_source="mains",
        virtual=True,
    ),
    reference=r.CanaryReference(clock_ns=11, throughput_ns=12, memory_ns=13, probes=5, source="library", new=True),
    policy=r.RunPolicy(looks=(6, 10), ci_target=0.01, max_time_s=60.0),
    schedule=r.Schedule(),
    series=(
        r.Series(
            label="mobileone_s0 onnxruntime fp32",
            model=MODEL,
            weights=WEIGHTS,
            artifact="a1b2c3",
            inputs=(IMAGE,),
            fidelity=FIDELITY,
            published=(PUBLISHED,),
            identity=IDENTITY,
            launches=_LAUNCHES,
            profile=r.ProfileRecord(
                layers=(
                    r.LayerRow(
                        module="stem",
                        op="Conv",
                        kind="kernel",
                        ms=1.5,
                        share=0.3,
                        macs=1_000,
                        bytes=64,
                        fused=("stem.act",),
                        kernels=("conv_nchwc",),
                    ),
                ),
                layer_sum_ms=5.0,
                profiled_ms=5.2,
                iterations=20,
                attributed_share=0.99,
                layout_share=0.01,
            ),
            not_profiled="the runtime reports no layers",
        ),
    ),
    not_measured=(
        r.NotMeasured(
            model="mobilevit_s",
            runtime="ncnn",
            precision="fp32",
            code="conversion_failed",
            message="pnnx dropped Tensor.reshape",
            hint="measure it with --runtime onnxruntime",
            asked=True,
        ),
    ),
)

RESULT = r.ResultDocument(
    results=(
        r.Result(
            run_id="20261122-120000-abcd",
            label="mobileone_s0 onnxruntime fp32",
            model="mobileone_s0",
            family="mobileone",
            params=2_078_504,
            macs=275_100_000,
            artifact="a1b2c3",
            format="onnx",
            target="host",
            device="a machine",
            runtime="onnxruntime",
            precision="fp32",
            threads=1,
            weights="random weights (seed 0)",
            median_ms=5.9,
            ci95_ms=(5.7, 6.1),
            p90_ms=6.4,
            min_ms=5.5,
            launches=10,
            launches_suspect=1,
            launches_invalid=2,
            launches_failed=1,
            iterations=1_700,
            launch_medians_ms=(5.8, 5.9, 6.0),
            session_medians_ms=(5.9,),
            memory_peak_bytes=90_000_000,
            verdict="SUSPECT",
            reasons=("2 of 10 launches discarded",),
            notes=("reference new",),
            parity=FIDELITY,
            layers=(
                r.ResultLayer(
                    module="stem",
                    op="Conv",
                    kind="kernel",
                    ms=1.5,
                    share=0.3,
                    macs=1_000,
                    bytes=64,
                    gflop_per_s=1.3,
                    macs_per_byte=15.6,
                    fused=("stem.act",),
                ),
            ),
            not_profiled=None,
            layer_sum_ms=5.0,
            profiled_ms=5.2,
            attributed_share=0.99,
            layout_share=0.01,
            published=(PUBLISHED,),
            sustained=r.Sustained(
                duration_s=20.0,
                burst_ms=5.9,
                steady_ms=8.0,
                steady_from_s=9.0,
                throttled_after_s=8.0,
                clock_slower=1.34,
                seconds=(0.5, 1.5),
                levels_ms=(5.9, 8.0),
                hottest_c=(None, 45.5),
            ),
            rank=1,
            identity=IDENTITY,
        ),
    ),
    not_measured=RUN.not_measured,
)

DOCUMENTS: dict[str, msgspec.Struct] = {
    "plan": PLAN,
    "run": RUN,
    "artifact": ARTIFACT,
    "sidecar": SIDECAR,
    "result": RESULT,
    "check": check_of(RESULT.results),
    "explanation": EXPLANATION,
    "baseline": baseline_of(RESULT.results[0]),
}


def trace_bytes(trace: r.Trace = TRACE) -> bytes:
    """The trace as a file, a row a line."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in trace.rows)


def golden_path(name: str) -> Path:
    """The golden file of a format's present version."""
    path = GOLDEN / schema_file_name(name)
    return path.with_suffix(".jsonl") if name == "trace" else path


def golden_bytes(name: str) -> bytes:
    """What the golden file of the present version holds."""
    return trace_bytes() if name == "trace" else encode(DOCUMENTS[name])


def write_golden_files() -> None:
    """Writes them all."""
    for name in ("trace", *DOCUMENTS):
        golden_path(name).write_bytes(golden_bytes(name))


if __name__ == "__main__":
    write_golden_files()
