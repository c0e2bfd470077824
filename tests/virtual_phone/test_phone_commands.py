"""The phone's commands and texts, without a phone: any shell runs them on a folder that is laid out like one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.virtual_phone.phone_files import PhoneFiles, lay_out, thermalservice_text, write
from tests.virtual_phone.profiles import GALAXY_S24, PROFILES, REDMI, XIAOMI_13T, PhoneProfile, sample

LIVE = {
    "soc_c": "57.9",
    "skin_c": "34.4",
    "battery_c": "31.0",
    "battery_dc": "310",
    "status": "2",
    "hottest_soc_c": "84.2",
    "hottest_skin_c": "48.5",
}


class Desk:
    """A laid-out phone that is not switched on."""

    def __init__(self, folder: Path, profile: PhoneProfile = XIAOMI_13T) -> None:
        self.files: PhoneFiles = lay_out(profile, folder, "x86_64")
        self._bin = folder / "system" / "bin"
        for name, value in LIVE.items():
            write(self.files.phone / "live" / name, value)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        # The commands begin with Android's #!/system/bin/sh, which this machine lacks; one that calls another is tested
        # on the phone.
        environment = {"EDGEBENCH_PHONE": str(self.files.phone), "PATH": "/usr/bin:/bin"}
        command = ["sh", str(self._bin / words[0]), *words[1:]]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)

    def said(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done
        return done.stdout.rstrip("\n")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_text_has_all_its_numbers(tmp_path, profile):
    desk = Desk(tmp_path, profile)
    for service in ("thermalservice", "battery", "power", "display", "deviceidle"):
        text = desk.said("dumpsys", service)
        assert text
        assert "@" not in text


def test_the_live_temperatures_are_the_current_ones_and_the_cached_block_is_older(desk):
    cached, _, current = desk.said("dumpsys", "thermalservice").partition("HAL Ready: true")
    assert "mValue=84.2, mType=0, mName=CPU" in cached
    assert "mValue=57.9, mType=0, mName=CPU" in current
    assert "mValue=34.4, mType=3, mName=SKIN, mStatus=2}" in current
    assert "Thermal Status: 2" in cached


def test_sensors_that_are_not_there_still_read_zero():
    text = thermalservice_text(sample("thermalservice_a12_samsung_a52.txt"))
    assert "mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}" in text
    assert "mValue=@SKIN@, mType=3, mName=LRB" in text


def test_a_property_is_found_by_its_whole_name_and_a_missing_one_is_empty(desk):
    assert desk.said("getprop", "ro.product.model") == "23078PND5G"
    assert desk.said("getprop", "ro.product.mode") == ""
    assert desk.said("getprop", "ro.product.mode", "other") == "other"
    assert "[ro.product.cpu.abi]: [x86_64]" in desk.said("getprop").splitlines()


def test_the_galaxy_has_no_soc_model(tmp_path):
    assert Desk(tmp_path, GALAXY_S24).said("getprop", "ro.soc.model") == ""


def test_settings_are_kept_and_deleted(desk):
    assert desk.said("settings", "get", "global", "airplane_mode_on") == "null"
    desk.said("settings", "put", "global", "airplane_mode_on", "1")
    assert desk.said("settings", "get", "global", "airplane_mode_on") == "1"
    assert "airplane_mode_on=1" in desk.said("settings", "list", "global").splitlines()
    assert desk.said("settings", "delete", "global", "airplane_mode_on") == "Deleted 1 rows"
    assert desk.said("settings", "delete", "global", "airplane_mode_on") == "Deleted 0 rows"
    assert desk.run("settings", "put", "elsewhere", "a", "1").returncode != 0
    assert desk.run("settings", "put", "global", "../../etc", "1").returncode != 0


def test_fixed_performance_mode_is_silent_where_it_is_known(desk):
    assert desk.said("cmd", "power", "set-fixed-performance-mode-enabled", "true") == ""
    assert (desk.files.phone / "state" / "fixed_performance").read_text() == "true\n"


def test_an_older_phone_does_not_know_that_mode(tmp_path):
    done = Desk(tmp_path, REDMI).run("cmd", "power", "set-fixed-performance-mode-enabled", "true")
    assert (done.returncode, done.stderr) == (255, "Unknown command: set-fixed-performance-mode-enabled\n")


def test_an_overridden_status_shows_as_such(desk):
    desk.said("cmd", "thermalservice", "override-status", "3")
    text = desk.said("dumpsys", "thermalservice")
    assert "IsStatusOverride: true" in text
    assert "Thermal Status: 3" in text
    desk.said("cmd", "thermalservice", "reset")
    assert "Thermal Status: 2" in desk.said("dumpsys", "thermalservice")


def test_an_unplugged_battery_says_that_its_updates_stopped(desk):
    assert "  USB powered: true" in desk.said("dumpsys", "battery")
    desk.said("dumpsys", "battery", "unplug")
    text = desk.said("dumpsys", "battery")
    assert "UPDATES STOPPED" in text
    assert "  USB powered: false" in text
    assert "  status: 3" in text
    desk.said("dumpsys", "battery", "reset")
    assert "  USB powered: true" in desk.said("dumpsys", "battery")
    assert "UPDATES" not in desk.said("dumpsys", "battery")


def test_the_power_key_puts_the_screen_out_and_on(desk):
    assert "mWakefulness=Awake" in desk.said("dumpsys", "power")
    desk.said("input", "keyevent", "26")
    assert "mWakefulness=Asleep" in desk.said("dumpsys", "power")
    assert "mScreenState=OFF" in desk.said("dumpsys", "display")
    desk.said("input", "keyevent", "KEYCODE_WAKEUP")
    assert "state=ON" in desk.said("dumpsys", "power")


def test_power_saving_shows_where_the_setting_is_on(desk):
    desk.said("settings", "put", "global", "low_power", "1")
    assert "Battery Saver is currently: ON" in desk.said("dumpsys", "power")


def test_an_unknown_service_is_said_to_be_one(desk):
    assert desk.said("dumpsys", "flux") == "Can't find service: flux"
    assert desk.run("cmd", "flux").returncode != 0


def test_laying_out_again_keeps_settings_and_data(tmp_path):
    desk = Desk(tmp_path)
    desk.said("settings", "put", "global", "low_power", "1")
    (desk.files.data / "local" / "tmp" / "pushed").write_text("x")
    again = Desk(tmp_path)
    assert again.said("settings", "get", "global", "low_power") == "1"
    assert (again.files.data / "local" / "tmp" / "pushed").exists()
