"""Which engines are the same: what is built anew, what is kept, and by which times its kernels are chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edgebench.errors import DeviceError, LaunchFailed
from edgebench.events import ignore
from edgebench.records import Plan, PlannedArtifact, Trace
from edgebench.runtime import get_runtime
from edgebench.runtime.remote_agent import Site
from edgebench.runtime.tensorrt.engines import Engine, Engines
from edgebench.transport.remote import Remote
from edgebench.transport.this_machine import ThisMachine

WORDS = ("--noTF32", "--fp16")


class Bench:
    """A device, which is this machine with a GPU by the words of its nvidia-smi, and what was built there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gpu = folder / "gpu"
        self.gpu.write_text("Orin, 8.7, 540.3.0\n")
        self.site = Site(str(folder / "place"), Remote(ThisMachine()), ignore, self._launch)
        self.caches: list[str] = []
        self.plan = Plan(
            plan_id="0-0",
            mode="measure",
            runtime="tensorrt",
            artifacts=(PlannedArtifact(key="k", files={"onnx": "/store/0123"}, batches=((),), outputs=("y",)),),
            options=get_runtime("tensorrt").options("fp16", 1),
            cores=(1,),
            work_dir=str(folder),
            trace_path=str(folder / "trace.jsonl"),
        )

    @staticmethod
    def _launch(plan: Plan) -> Trace:
        raise AssertionError(f"{plan.plan_id} is launched by whoever builds")

    def get(
        self,
        plan: Plan | None = None,
        *,
        version: str = "10.3.0",
        words: tuple[str, ...] = WORDS,
        built: str = "engine",
    ) -> Engine:
        """As a run of its own asks for it."""

        def build(new: str, cache: str) -> None:
            self.caches.append(cache)
            Path(new).write_text(built)

        return Engines().get(plan or self.plan, self.site, version, words, build)

    @property
    def kept(self) -> list[str]:
        return sorted(str(path) for path in Path(self.site.folder).glob("engines/*.engine"))

    def with_options(self, **options: str | int) -> Plan:
        return replace(self.plan, options=dict(self.plan.options) | options)

    def with_onnx(self, path: str) -> Plan:
        [artifact] = self.plan.artifacts
        return replace(self.plan, artifacts=(replace(artifact, files={"onnx": path}),))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(f"#!/bin/sh\ncat '{tmp_path}/gpu'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(smi.parent), prepend=":")
    return Bench(tmp_path)


def test_the_same_engine_is_built_once_however_many_runs_ask_for_it(bench: Bench) -> None:
    first = bench.get()
    assert Path(first.path).read_text() == "engine" and first.key in first.path
    elsewhere = replace(bench.with_onnx("/another/place/0123"), plan_id="7-1", mode="profile")
    assert bench.get(elsewhere, built="another") == first
    assert len(bench.caches) == 1 and Path(first.path).read_text() == "engine" and bench.kept == [first.path]


@pytest.mark.parametrize("what", ["network", "TensorRT", "GPU", "precision", "flag", "build"])
def test_an_engine_is_built_anew_where_one_thing_that_decides_it_is_another(bench: Bench, what: str) -> None:
    first = bench.get()
    plan, version, words = bench.plan, "10.3.0", WORDS
    if what == "network":
        plan = bench.with_onnx("/store/4567")
    elif what == "TensorRT":
        version = "10.3.1"
    elif what == "GPU":
        bench.gpu.write_text("Orin, 8.7, 540.4.0\n")
    elif what == "precision":
        plan = bench.with_options(precision="fp32")
    elif what == "flag":
        words = (*WORDS, "--useDLACore=0")
    else:
        plan = bench.with_options(build=2)
    second = bench.get(plan, version=version, words=words, built="another")
    assert second.key != first.key and Path(second.path).read_text() == "another"
    assert len(bench.caches) == 2 and bench.kept == sorted((first.path, second.path))
    assert bench.get(plan, version=version, words=words) == second


def test_kernels_that_were_timed_are_known_to_the_next_build_on_the_same_gpu_by_the_same_tensorrt(
    bench: Bench,
) -> None:
    bench.get()
    Path(bench.caches[0]).write_text("kernels")
    bench.get(bench.with_onnx("/store/4567"))
    bench.get(bench.with_options(precision="fp32"))
    assert len(set(bench.caches)) == 1 and Path(bench.caches[0]).read_text() == "kernels"
    bench.get(bench.with_options(build=2))
    bench.get(version="10.3.1")
    bench.gpu.write_text("Orin, 8.7, 540.4.0\n")
    bench.get()
    assert len(bench.caches) == 6 and len(set(bench.caches)) == 4, "each of these times its own"


def test_an_engine_that_was_not_finished_is_none(bench: Bench) -> None:
    def broken(new: str, cache: str) -> None:
        del cache
        Path(new).write_text("half an engine")
        raise LaunchFailed("out of memory", hint="close what else uses the GPU")

    with pytest.raises(LaunchFailed):
        Engines().get(bench.plan, bench.site, "10.3.0", WORDS, broken)
    assert bench.kept == []
    assert Path(bench.get().path).read_text() == "engine"


def test_an_empty_engine_is_built_again(bench: Bench) -> None:
    Path(bench.get().path).write_text("")
    assert Path(bench.get().path).read_text() == "engine" and len(bench.caches) == 2


def test_an_engine_that_nobody_wrote_is_told(bench: Bench) -> None:
    with pytest.raises(DeviceError, match="cannot keep the engine"):
        Engines().get(bench.plan, bench.site, "10.3.0", WORDS, lambda new, cache: None)
