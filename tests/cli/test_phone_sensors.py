"""A phone whose sensors talk nonsense: it is measured, nothing made up is believed, and what is not known is n/a."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.phone_desk import ONCE, Desk, Edgebench, desk, the_record
from tests.virtual_phone.profiles import PIXEL_8_PRO, Zone

NONSENSE = {
    "cpu-hot": "200000",
    "cpu-text": "n/a",
    "cpu-empty": "",
    "cpu-cold": "-274000",
    "battery": "99999999999999999999",
}
SAID = {
    "thermalservice": b"Current temperatures from HAL:\n\tTemperature{mValue=NaN, mType=?, mName=}\n"
    b"\tTemperature{mValue=200.0, mType=3, mName=SKIN, mStatus=0}\n\xff\xfe\nThermal Status: 99\n",
    "battery": b"Current Battery Service state:\n  level: lots\n  temperature: hot\n  AC powered: maybe\n",
}
TARGET = """
name: nonsense
summary: a phone of nonsense
platform: android
runtimes: [ncnn]
gate: {start_max_c: 35, max_wait_s: 1, canary_ratio_max: 1000}
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    profile = replace(PIXEL_8_PRO, zones=tuple(Zone(name, "0") for name in NONSENSE))
    folder = tmp_path_factory.mktemp("odd")
    with desk(profile, folder) as found:
        for index, text in enumerate(NONSENSE.values()):
            (found.phone.files.thermal / f"thermal_zone{index}" / "temp").write_text(text)
        for service, said in SAID.items():
            (found.phone.files.phone / "texts" / service).write_bytes(said)
        (folder / "nonsense.yaml").write_text(TARGET)
        yield found


def test_the_gate_passes_on_the_canaries_alone_and_no_temperature_is_told(
    edgebench: Edgebench, odd: Desk, tmp_path: Path
) -> None:
    flags = [flag for flag in ONCE if flag != "--no-gate"]
    done = edgebench("run", odd.net, "--target", "nonsense.yaml", *flags, "--runs-dir", str(tmp_path), "--json")
    assert done.status == 0, done.err
    [launch] = the_record(tmp_path).series[0].launches
    assert launch.gate == "passed"
    assert launch.thermal.readings == () and launch.thermal.status is None
    assert (launch.state.battery_percent, launch.state.charging) == (None, None)
    assert launch.validity == "VALID"
    trace = next(tmp_path.glob(f"*/{launch.trace}")).read_text().splitlines()
    rows = [json.loads(line) for line in trace]
    sampled = [value for row in rows if row["type"] == "telemetry" for value in row["temperature_c"].values()]
    assert all(-40 < value < 150 for value in sampled), sampled
    odd.assert_left_alone()


def test_what_is_not_told_is_na_in_the_list_and_a_question_mark_of_the_doctor(edgebench: Edgebench, odd: Desk) -> None:
    [_, phone] = json.loads(edgebench("devices", "--json").out)["devices"]
    assert (phone["state"], phone["warmest_c"], phone["battery_percent"]) == ("ready", None, None)
    row = next(line for line in edgebench("devices").out.splitlines() if odd.phone.serial in line)
    assert row.count("n/a") == 2
    doctor = edgebench("doctor", "--target", "nonsense.yaml", "--json")
    checks = {check["name"]: check for check in json.loads(doctor.out)["checks"]}
    for name in ("temperature", "zones", "battery", "charger"):
        assert checks[name]["ok"] is None, checks[name]
        assert checks[name]["mend"]
    assert "?     zones" in edgebench("doctor", "--target", "nonsense.yaml").out
