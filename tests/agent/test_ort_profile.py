"""ONNX Runtime's profile file, generated: no kernel may get another's time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.agent.sessions.ort_profile import read_layers
from edgebench.agent.wire import AgentError

Kernel = tuple[str, int]


def event(name: str, start_us: int, length_us: int, node: int) -> dict[str, object]:
    sizes = {"activation_size": "100", "parameter_size": "20", "output_size": "3"}
    args = {"op_name": "Conv", "node_index": str(node), **sizes}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start_us, "dur": length_us, "ph": "X", "args": args}


def profile(runs: list[list[int]], names: list[str]) -> list[dict[str, object]]:
    """``runs[i][k]``: µs of kernel k in run i; warm-ups are runs too."""
    events: list[dict[str, object]] = [
        {"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 40, "args": {}}
    ]
    now = 100
    for durations in runs:
        start = now
        for node, (name, length) in enumerate(zip(names, durations, strict=True)):
            events.append(event(name, now, length, node))
            now += length + 1
        events.append({"cat": "Session", "name": "model_run", "ts": start, "dur": now - start, "args": {}})
        now += 5
    return events


def write(path, events) -> str:
    path.write_text(json.dumps(events))
    return str(path)


@given(
    st.integers(1, 5).flatmap(
        lambda kernels: st.tuples(
            st.lists(st.sampled_from(["a", "b"]), min_size=kernels, max_size=kernels),
            st.lists(st.lists(st.integers(0, 900), min_size=kernels, max_size=kernels), min_size=1, max_size=6),
        )
    ),
    st.integers(1, 6),
)
def test_each_node_gets_its_own_times_even_where_names_repeat(tmp_path_factory, made, wanted):
    names, runs = made
    iterations = min(wanted, len(runs))
    path = write(tmp_path_factory.getbasetemp() / "profile.json", profile(runs, names))
    layers = read_layers(path, iterations)
    timed = runs[-iterations:]
    assert [layer["name"] for layer in layers] == names
    assert [layer["times_ns"] for layer in layers] == [[run[k] * 1000 for run in timed] for k in range(len(names))]
    assert all(layer["bytes_moved"] == 103 for layer in layers)


def test_a_kernel_that_is_missing_from_one_run_is_an_error(tmp_path):
    events = profile([[5, 6], [5, 6], [5, 6]], ["a", "b"])
    missing = [e for e in events if e["name"] == "b_kernel_time"][1]
    with pytest.raises(AgentError, match="b_kernel_time is not in every run"):
        read_layers(write(tmp_path / "p.json", [e for e in events if e is not missing]), 3)


def test_fewer_runs_than_were_timed_is_an_error(tmp_path):
    with pytest.raises(AgentError, match="holds 2 runs of 3"):
        read_layers(write(tmp_path / "p.json", profile([[1], [2]], ["a"])), 3)


def test_a_profile_that_was_cut_is_an_error(tmp_path):
    whole = json.dumps(profile([[1]], ["a"]))
    (tmp_path / "p.json").write_text(whole[:-20])
    with pytest.raises(AgentError, match="cannot be read"):
        read_layers(str(tmp_path / "p.json"), 1)


def test_bytes_are_unknown_where_one_part_is(tmp_path):
    events = profile([[1]], ["a"])
    del events[1]["args"]["output_size"]  # type: ignore[attr-defined]
    assert read_layers(write(tmp_path / "p.json", events), 1)[0]["bytes_moved"] is None
