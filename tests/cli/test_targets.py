"""``edgebench targets``."""

from __future__ import annotations

import json


def test_this_machine_is_a_target_with_its_runtimes(edgebench):
    document = json.loads(edgebench("targets", "--json").out)
    assert document["schema"] == 1
    host = next(target for target in document["targets"] if target["name"] == "host")
    assert list(host) == ["name", "summary", "platform", "runtimes", "threads", "cores"]
    assert {"onnxruntime", "ncnn"} <= set(host["runtimes"])
    assert host["threads"] == 1


def test_the_list_says_what_a_target_offers(edgebench, tmp_path, monkeypatch):
    (tmp_path / "desk.yaml").write_text(
        "{name: desk, summary: the machine on the desk, platform: host, runtimes: [ncnn], threads: 2, cores: '0-1'}"
    )
    monkeypatch.setenv("EDGEBENCH_TARGETS", str(tmp_path))
    out = edgebench("targets").out
    assert "desk  the machine on the desk\n" in out
    assert "platform host; runtimes ncnn; 2 threads, cores 0-1\n" in out
