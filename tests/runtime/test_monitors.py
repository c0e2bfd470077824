"""What a board's monitor said beside a launch, and what it cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edgebench.device.linux.nvidia_smi import FIELDS
from edgebench.records import ProgramRow
from edgebench.runtime.monitors import find_monitor, monitor_command, monitor_row
from edgebench.transport.remote import Remote
from edgebench.transport.this_machine import ThisMachine

SAMPLES = Path(__file__).parents[1] / "device" / "samples" / "jetson" / "tegrastats_lines.txt"
ORIN = next(line for line in SAMPLES.read_text().splitlines() if "GR3D_FREQ 63%@[621]" in line)
UNPRIVILEGED = next(line for line in SAMPLES.read_text().splitlines() if "VDD_IN 4824mW" in line)


def ran(folder: Path, text: str) -> ProgramRow:
    (folder / "log").write_text(text)
    return ProgramRow(
        name="tegrastats",
        t_ns=1_000_000_000,
        end_ns=3_000_000_000,
        status=143,
        cpu_time_ns=10_000_000,
        memory_peak_bytes=1,
        files={"log": str(folder / "log")},
    )


def test_samples_become_columns_and_the_cost_is_a_share_of_one_core(tmp_path: Path) -> None:
    row = monitor_row(ran(tmp_path, f"{ORIN}\n{UNPRIVILEGED}\n"))
    assert row is not None
    assert row.gpu_percent == (63, 0) and row.gpu_mhz == (621, None) and row.memory_mhz == (2133, None)
    assert row.power_mw["VDD_IN"] == (12479, 4824) and row.total_rail == "VDD_IN"
    assert row.temperature_c["gpu"] == (53.343, 49.031)
    assert row.cost_share == 0.005


def test_a_rail_that_one_line_lacks_is_null_there(tmp_path: Path) -> None:
    row = monitor_row(ran(tmp_path, f"{ORIN}\nRAM 1/2MB CPU [1%@2] GR3D_FREQ 5%\n"))
    assert row is not None and row.power_mw["VDD_SOC"] == (2817, None)


def test_a_monitor_that_wrote_nothing_says_nothing(tmp_path: Path) -> None:
    assert monitor_row(ran(tmp_path, "")) is None
    assert monitor_row(ran(tmp_path, "Cannot open /sys/kernel/debug\n")) is None
    silent = ran(tmp_path, "")
    Path(silent.files["log"]).unlink()
    assert monitor_row(silent) is None


def test_a_gpu_of_another_machine_is_told_by_nvidia_smi(tmp_path: Path) -> None:
    row = monitor_row(
        replace(ran(tmp_path, "63, 1410, 1215, 45, 123.45\n0, 210, [N/A], 44, [N/A]\n"), name="nvidia-smi")
    )
    assert row is not None
    assert row.gpu_percent == (63, 0) and row.gpu_mhz == (1410, 210) and row.memory_mhz == (1215, None)
    assert row.power_mw == {"GPU board": (123450, None)} and row.total_rail == "GPU board"
    assert row.temperature_c == {"gpu": (45.0, 44.0)}


def test_nvidia_smi_writes_to_its_standard_output_and_is_asked_for_what_is_parsed() -> None:
    command = monitor_command("/usr/bin/nvidia-smi", "/there/launch")
    assert command.name == "nvidia-smi" and command.output == command.files["log"]
    assert f"--query-gpu={','.join(FIELDS)}" in command.argv and "--loop-ms=500" in command.argv


def test_the_jetsons_own_is_looked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tegrastats", "nvidia-smi"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    device = Remote(ThisMachine())
    assert find_monitor(device) == str(tmp_path / "tegrastats")
    (tmp_path / "tegrastats").unlink()
    assert find_monitor(device) == str(tmp_path / "nvidia-smi")


def test_it_writes_into_the_launchs_own_folder() -> None:
    command = monitor_command("/usr/bin/tegrastats", "/there/launch")
    assert command.argv == ("/usr/bin/tegrastats", "--interval", "500", "--logfile", "/there/launch/tegrastats.log")
    assert command.files == {"log": "/there/launch/tegrastats.log"}
