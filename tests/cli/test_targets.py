"""``edgebench targets``."""

from __future__ import annotations

import contextlib
import json
import re
from types import SimpleNamespace

import pytest

from edgebench.measure import reaching
from tests.cli.phone_desk import refused


def test_this_machine_is_a_target_with_its_runtimes(edgebench):
    document = json.loads(edgebench("targets", "--json").out)
    assert document["schema"] == 1
    host = next(target for target in document["targets"] if target["name"] == "host")
    phone = ["serial", "address", "model", "abi"]
    assert list(host) == ["name", "summary", "platform", "runtimes", "threads", "cores", *phone]
    assert [host[key] for key in phone] == [None] * 4
    assert {"onnxruntime", "ncnn"} <= set(host["runtimes"])
    assert host["threads"] == 1


def test_the_list_says_what_a_target_offers(edgebench, tmp_path, monkeypatch):
    (tmp_path / "desk.yaml").write_text(
        "{name: desk, summary: the machine on the desk, platform: host, runtimes: [ncnn], threads: 2, cores: '0-1'}"
    )
    monkeypatch.setenv("EDGEBENCH_TARGETS", str(tmp_path))
    out = edgebench("targets").out
    assert re.search(
        r"^desk +the machine on the desk\n +platform host; runtimes ncnn; 2 threads, cores 0-1\n", out, re.M
    )


def test_the_list_says_which_phone_a_target_means(edgebench, tmp_path, monkeypatch):
    (tmp_path / "lab.yaml").write_text(
        "{name: lab, summary: x, platform: android, runtimes: [ncnn], address: '10.0.0.7:5555', model: Pixel, abi: x86_64}"
    )
    monkeypatch.setenv("EDGEBENCH_TARGETS", str(tmp_path))
    assert "platform android, address 10.0.0.7:5555, model Pixel, abi x86_64; runtimes ncnn" in edgebench("targets").out
    document = json.loads(edgebench("targets", "--json").out)
    lab = next(target for target in document["targets"] if target["name"] == "lab")
    assert (lab["serial"], lab["address"], lab["model"], lab["abi"]) == (None, "10.0.0.7:5555", "Pixel", "x86_64")


@pytest.mark.parametrize("which", [("--serial", "8A2X0YBCD"), ("--board", "ann@10.0.0.7")])
def test_a_device_that_is_measured_on_is_not_asked_what_it_is(edgebench, monkeypatch, which):
    @contextlib.contextmanager
    def reached(_target):
        yield SimpleNamespace(run_script=lambda *_, **__: pytest.fail("it was asked"), address="there")

    monkeypatch.setattr(reaching, "reached", reached)
    monkeypatch.setattr(reaching, "user_of", lambda _platform, _remote: "ann on desk, process 7, last seen 3 s ago")
    error = refused(edgebench("targets", "add", "not-written", *which, "--json"), 5, "device_busy")
    assert "ann on desk, process 7" in error["message"] and "disturb" in error["hint"]
    assert "not-written" not in edgebench("targets").out
