"""What each runtime promises, without loading it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from edgebench.errors import NotInstalled, PrecisionRefused, UnknownName
from edgebench.events import ignore
from edgebench.runtime import RUNTIMES, get_runtime
from edgebench.runtime.onnxruntime import PROVIDERS

# Those that run beside Python, on this machine too.
HERE = ("onnxruntime", "ncnn", "torch")


def test_every_runtime_answers_to_its_name():
    assert [get_runtime(name).name for name in RUNTIMES] == list(RUNTIMES)
    assert set(HERE) < set(RUNTIMES)


@pytest.mark.parametrize("name", HERE)
def test_a_runtime_of_this_machine_knows_its_version(name):
    runtime = get_runtime(name)
    assert runtime.name == name
    assert runtime.version() == metadata.version(name)
    runtime.require_installed(ignore)
    assert Path(runtime.agent_command()[0]).is_file()
    runtime.check_precision("fp32", "x86_64")


def test_an_unknown_runtime_is_met_with_the_nearest_name():
    with pytest.raises(UnknownName) as raised:
        get_runtime("onnxrutime")
    assert raised.value.suggestions == ("onnxruntime",)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("onnxruntime", "pip install onnxruntime"),
        ("torch", "pip install 'edgebench[export]'"),
    ],
)
def test_a_runtime_that_is_not_installed_tells_the_command(name, command, monkeypatch):
    def version(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr("edgebench.runtime.base.metadata.version", version)
    with pytest.raises(NotInstalled) as raised:
        get_runtime(name).require_installed(ignore)
    assert command in raised.value.hint


def test_ncnn_without_a_harness_and_without_a_compiler_tells_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("edgebench.runtime.abis.shutil.which", lambda program: None)
    with pytest.raises(NotInstalled, match="no compiler") as raised:
        get_runtime("ncnn").require_installed(lambda event: None)
    assert raised.value.hint == "run: apt-get install g++"


@pytest.mark.parametrize(
    ("name", "precision", "machine"),
    [*((name, "fp16", "x86_64") for name in HERE), ("ncnn", "int8", "aarch64"), ("onnxruntime", "int4", "aarch64")],
)
def test_a_precision_that_would_be_another_ones_speed_is_refused(name, precision, machine):
    with pytest.raises(PrecisionRefused, match=precision):
        get_runtime(name).check_precision(precision, machine)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_a_dla_cannot_compute_in_is_refused_rather_than_left_to_the_gpu(precision):
    with pytest.raises(PrecisionRefused, match=f"{precision} would be the GPU's"):
        get_runtime("tensorrt", {"dla": 0}).check_precision(precision, "aarch64")
    get_runtime("tensorrt", {"dla": 0}).check_precision("fp16", "aarch64")


def test_the_refusal_of_fp16_on_x86_says_what_would_be_computed():
    for name in ("onnxruntime", "ncnn"):
        with pytest.raises(PrecisionRefused, match="in fp32 on x86_64"):
            get_runtime(name).check_precision("fp16", "x86_64")


def test_ncnn_computes_fp16_where_the_cores_can():
    ncnn = get_runtime("ncnn")
    ncnn.check_precision("fp16", "aarch64")
    assert ncnn.options("fp16", 1)["use_fp16_arithmetic"] is True
    assert not [name for name, value in ncnn.options("fp32", 1).items() if ("fp16" in name or "bf16" in name) and value]


def test_onnxruntime_and_ncnn_have_layers_and_torch_says_why_not():
    assert get_runtime("onnxruntime").not_profiled is None
    assert get_runtime("ncnn").not_profiled is None
    assert "reference row" in str(get_runtime("torch").not_profiled)


def test_tensorrt_is_never_beside_python_and_says_where_it_runs():
    tensorrt = get_runtime("tensorrt")
    for refused in (lambda: tensorrt.require_installed(ignore), tensorrt.agent_command, tensorrt.version):
        with pytest.raises(NotInstalled) as raised:
            refused()
        assert "--target orin-nano" in raised.value.hint


def test_tensorrt_takes_fp16_on_every_machine_and_no_precision_that_it_would_not_build():
    tensorrt = get_runtime("tensorrt")
    tensorrt.check_precision("fp16", "x86_64")
    with pytest.raises(PrecisionRefused, match="int4"):
        tensorrt.check_precision("int4", "aarch64")


def test_fp32_on_a_gpu_is_not_tf32():
    assert get_runtime("tensorrt").options("fp32", 1)["tf32"] is False


def test_a_variant_is_what_its_options_say_and_the_usual_one_has_no_name():
    again = get_runtime("tensorrt", {"build": 2, "dla": 1, "engine": "abc"})
    assert (again.options("fp16", 1)["build"], again.options("fp16", 1)["dla"], again.variant) == (2, 1, "-dla1-b2")
    assert get_runtime("tensorrt").variant == ""
    assert get_runtime("ncnn", {"build": 2, "lightmode": True}).variant == "", "options of its own make no variant"


def test_a_dla_is_refused_fp32_which_it_does_not_compute():
    with pytest.raises(PrecisionRefused, match="DLA computes in fp16"):
        get_runtime("tensorrt", {"dla": 0}).check_precision("fp32", "aarch64")
    get_runtime("tensorrt", {"dla": 0}).check_precision("fp16", "aarch64")


def test_a_gpu_of_onnx_runtimes_takes_fp16_and_has_no_layers():
    cuda = get_runtime("onnxruntime", {"provider": PROVIDERS["cuda"]})
    cuda.check_precision("fp16", "x86_64")
    assert (cuda.variant, cuda.options("fp16", 1)["provider"]) == ("-cuda", "CUDAExecutionProvider")
    assert cuda.options("fp16", 1)["precision"] == "fp16"
    assert cuda.not_profiled and get_runtime("onnxruntime").not_profiled is None
    with pytest.raises(PrecisionRefused, match="int4"):
        cuda.check_precision("int4", "aarch64")
