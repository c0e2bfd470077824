"""A Jetson's release, power mode and clocks, whole and mangled."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from edgebench.device.linux.l4t import Clock, PowerMode, Release, parse_clocks, parse_power_mode, parse_release
from tests.device.mangling import mangled

SAMPLES = Path(__file__).parents[1] / "samples" / "jetson"
TEXTS = [path.read_text() for path in sorted(SAMPLES.iterdir())]


def sample(name: str) -> str:
    return (SAMPLES / name).read_text()


def test_the_release_and_its_jetpack():
    release = parse_release(sample("nv_tegra_release_r36.txt"))
    assert release == Release(36, "4.3") and release.said(None) == "L4T 36.4.3 (JetPack 6)"
    assert Release(99, "1.0").said(None) == "L4T 99.1.0"
    assert parse_release("# R32 (release), REVISION: 7.6, GCID: 1, BOARD: t210ref") == Release(32, "7.6")
    assert parse_release("# KERNEL_VARIANT: oot\n") is None


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("nvpmodel_q_orin_nano.txt", PowerMode("25W", 1)),
        ("nvpmodel_q_maxn.txt", PowerMode("MAXN", 0)),
        ("nvpmodel_q_verbose_orin_nano_head.txt", PowerMode("25W", 1)),
    ],
)
def test_the_power_mode(name, mode):
    assert parse_power_mode(sample(name)) == mode


def test_a_power_mode_that_is_told_in_two_ways_is_not_known():
    assert parse_power_mode("NV Power Mode: 25W\nNV Power Mode: MAXN\n0\n") is None
    assert parse_power_mode("NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13\n") is None


def test_the_clocks_of_an_orin_nano_move():
    clocks = parse_clocks(sample("jetson_clocks_show_orin_nano.txt"))
    assert clocks.cores[2] == Clock(729600, 1344000, 1190400) and len(clocks.cores) == 6
    assert clocks.engines["GPU"] == Clock(306000000, 918000000, 306000000)
    assert clocks.locked is False


def test_cores_that_are_off_have_no_clock():
    assert set(parse_clocks(sample("jetson_clocks_show_nano_5W.txt")).cores) == {0, 1}


def test_clocks_that_cannot_move_are_locked():
    text = sample("jetson_clocks_show_orin_nano.txt")
    locked = text.replace("MinFreq=729600", "MinFreq=1344000").replace("MinFreq=306000000", "MinFreq=918000000")
    assert parse_clocks(locked).locked is False, "memory is held by an override, its bounds stay"
    assert parse_clocks(locked.replace("FreqOverride=0", "FreqOverride=1")).locked is True
    assert parse_clocks("Error: Failed to read, run as root\n").locked is None


@given(mangled(TEXTS))
def test_no_mangled_text_raises_or_gives_what_cannot_be(text):
    clocks = parse_clocks(text)
    assert all(clock.least <= clock.most for clock in (*clocks.cores.values(), *clocks.engines.values()))
    mode, release = parse_power_mode(text), parse_release(text)
    assert mode is None or mode.name
    assert release is None or release.major >= 0
