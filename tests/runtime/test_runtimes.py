"""What each runtime promises, without loading it."""

from __future__ import annotations

from importlib import metadata

import pytest

from edgebench.errors import NotInstalled, PrecisionRefused, UnknownName
from edgebench.runtime import RUNTIMES, get_runtime


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_runtime_answers_to_its_name_and_knows_its_version(name):
    runtime = get_runtime(name)
    assert runtime.name == name
    assert runtime.version() == metadata.version(name)
    runtime.require_installed()
    runtime.check_precision("fp32", "x86_64")


def test_an_unknown_runtime_is_met_with_the_nearest_name():
    with pytest.raises(UnknownName) as raised:
        get_runtime("onnxrutime")
    assert raised.value.suggestions == ("onnxruntime",)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("onnxruntime", "pip install onnxruntime"),
        ("ncnn", "pip install ncnn"),
        ("torch", "pip install 'edgebench[export]'"),
    ],
)
def test_a_runtime_that_is_not_installed_tells_the_command(name, command, monkeypatch):
    def version(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr("edgebench.runtime.base.metadata.version", version)
    with pytest.raises(NotInstalled) as raised:
        get_runtime(name).require_installed()
    assert command in raised.value.hint


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(("precision", "machine"), [("fp16", "x86_64"), ("int8", "aarch64")])
def test_a_precision_that_would_be_another_ones_speed_is_refused(name, precision, machine):
    with pytest.raises(PrecisionRefused, match=precision):
        get_runtime(name).check_precision(precision, machine)


def test_the_refusal_of_fp16_on_x86_says_what_would_be_computed():
    for name in ("onnxruntime", "ncnn"):
        with pytest.raises(PrecisionRefused, match="in fp32 on x86_64"):
            get_runtime(name).check_precision("fp16", "x86_64")


def test_ncnn_computes_fp16_where_the_cores_can():
    ncnn = get_runtime("ncnn")
    ncnn.check_precision("fp16", "aarch64")
    assert ncnn.options("fp16", 1)["use_fp16_arithmetic"] is True
    assert not [name for name, value in ncnn.options("fp32", 1).items() if ("fp16" in name or "bf16" in name) and value]


def test_only_onnxruntime_has_layers_and_the_others_say_why():
    assert get_runtime("onnxruntime").not_profiled is None
    assert "native harness" in str(get_runtime("ncnn").not_profiled)
    assert "reference row" in str(get_runtime("torch").not_profiled)
