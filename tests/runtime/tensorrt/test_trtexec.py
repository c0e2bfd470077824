"""Which words trtexec is given: by what its own help lists, on versions 7 to 11."""

from __future__ import annotations

import pytest

from edgebench.errors import DeviceRefused, NotInstalled
from edgebench.records import Schedule, TensorFile
from edgebench.runtime.tensorrt.trtexec import Load, Trtexec, found

OLD = frozenset(
    {
        *("--onnx", "--fp16", "--noTF32", "--workspace", "--loadEngine", "--buildOnly", "--nvtxMode", "--exportTimes"),
        *("--useDLACore", "--allowGPUFallback"),
    }
)
NEW = frozenset(
    {
        *("--onnx", "--fp16", "--noTF32", "--memPoolSize", "--loadEngine", "--skipInference", "--stronglyTyped"),
        *("--profilingVerbosity", "--timingCacheFile", "--exportLayerInfo", "--useDLACore", "--allowGPUFallback"),
    }
)
# Precision flags are gone, types come from the file alone; 11.0 has no DLA.
NEWEST = NEW - {"--fp16", "--useDLACore", "--allowGPUFallback"}
OPTIONS = {"tf32": False, "dla": "off"}
BATCH = (TensorFile(name="images:0", shape=(1, 3, 8, 8), dtype="float32", path="/there/in0"),)


def built(flags: frozenset[str], precision: str, version: tuple[int, int, int] = (8, 0, 1)) -> list[str]:
    trtexec = Trtexec("/bin/trtexec", version, flags)
    return trtexec.build("/m.onnx", "/m.engine", "/cache", precision, OPTIONS)


def test_fp16_is_a_flag_where_types_are_weak_and_the_files_own_where_they_are_strong():
    assert "--fp16" in built(OLD, "fp16") and "--stronglyTyped" not in built(OLD, "fp16")
    for flags in (NEW, NEWEST):
        assert "--stronglyTyped" in built(flags, "fp16") and "--fp16" not in built(flags, "fp16")
    assert "--fp16" not in built(OLD, "fp32")


def test_a_quantised_file_is_built_as_int8():
    assert (
        "--int8" in built(OLD, "int8")
        and "--stronglyTyped" in built(NEW, "int8")
        and "--int8" not in built(NEW, "int8")
    )


def test_fp32_is_never_tf32():
    for flags in (OLD, NEW, NEWEST):
        assert "--noTF32" in built(flags, "fp32")


def test_only_flags_that_its_help_lists_are_given():
    for flags in (OLD, NEW, NEWEST):
        given = {word.partition("=")[0] for word in built(flags, "fp16")[1:]} - {"--saveEngine"}
        assert given <= flags


def test_an_old_builder_gets_room_to_work_in_and_no_version_runs_what_it_builds():
    assert "--workspace=1024" in built(OLD, "fp32") and "--buildOnly" in built(OLD, "fp32")
    assert "--skipInference" in built(NEW, "fp32") and not any("workspace" in word for word in built(NEW, "fp32"))


def test_what_is_computed_in_is_said_where_the_builder_may_choose():
    assert Trtexec("/t", (8, 0, 1), OLD).computed("fp16", OPTIONS) == "fp16 (fp32 where faster)"
    assert Trtexec("/t", (10, 3, 0), NEW).computed("fp16", OPTIONS) == "fp16"
    assert Trtexec("/t", (8, 0, 1), OLD).computed("fp32", OPTIONS) == "fp32"


def test_inputs_are_named_without_quotes_which_8_0_takes_for_a_part_of_the_name():
    words = Trtexec("/t", (10, 3, 0), NEW).verify(Load("/e", BATCH, OPTIONS), "/out.json")
    assert "--loadInputs=images:0:/there/in0" in words
    assert "--iterations=1" in words and "--exportOutput=/out.json" in words


def test_a_time_shorter_than_a_second_is_a_second_for_trtexec():
    trtexec, load = Trtexec("/t", (10, 3, 0), NEW), Load("/e", BATCH, OPTIONS)
    words = trtexec.time(load, Schedule(measure_ms=300, iterations_min=7), "/t.json")
    assert "--duration=1" in words and "--iterations=7" in words
    words = trtexec.time(load, Schedule(measure_ms=1500), "/t.json")
    assert "--duration=2" in words


def test_a_dla_is_named_when_the_engine_is_built_and_when_it_runs():
    trtexec = Trtexec("/t", (10, 3, 0), NEW)
    options = OPTIONS | {"dla": 1}
    for words in (
        trtexec.build("/m.onnx", "/m.engine", "/cache", "fp16", options),
        trtexec.time(Load("/e", BATCH, options), Schedule(), "/t.json"),
    ):
        assert "--useDLACore=1" in words and "--allowGPUFallback" in words
    assert not any("DLA" in word for word in built(NEW, "fp16"))
    words = trtexec.build("/m.onnx", "/m.engine", "/cache", "fp16", options)
    assert "--fp16" in words and "--stronglyTyped" not in words
    assert trtexec.computed("fp16", options) == "fp16 (fp32 where faster)"


def test_a_dla_is_refused_where_its_help_has_none():
    with pytest.raises(DeviceRefused, match=r"trtexec 11\.0\.0 .*no DLA") as caught:
        Trtexec("/t", (11, 0, 0), NEWEST).build("/m.onnx", "/e", "/cache", "fp16", OPTIONS | {"dla": 0})
    assert "leave --dla out" in caught.value.hint


def test_a_name_with_a_build_number_behind_it_is_read():
    said = "path /t\n&&&& RUNNING TensorRT.trtexec [TensorRT v100500] [b18] # trtexec --help\n"
    assert (
        found(0, f"{said}  --versionCompatible, --vc    Mark\n  --loadEngine=<file>   Load\n").version_text == "10.5.0"
    )


def test_it_is_found_with_its_version_and_options():
    said = "path /usr/src/tensorrt/bin/trtexec\n&&&& RUNNING TensorRT.trtexec [TensorRT v8001] # trtexec --help\n"
    options = "=== Build Options ===\n  --fp16                      Enable fp16\n  --loadEngine=<file>   Load\n"
    trtexec = found(0, said + options)
    assert (trtexec.path, trtexec.version_text) == ("/usr/src/tensorrt/bin/trtexec", "8.0.1")
    assert trtexec.flags == {"--fp16", "--loadEngine"}


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (1, "", "has no trtexec"),
        (0, "path /bin/trtexec\ntrtexec: error while loading shared libraries: libnvinfer.so.8", "libnvinfer.so.8"),
        (0, "path /bin/trtexec\n&&&& RUNNING TensorRT.trtexec [TensorRT v8001] # trtexec\n", "does not tell"),
    ],
)
def test_one_that_does_not_run_is_told_with_its_own_words(status, said, message):
    with pytest.raises(NotInstalled, match=message):
        found(status, said)
