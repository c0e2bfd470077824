"""The adb client against a server of the test's own: which device is meant, and what is said of one that cannot be used."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import pytest

from edgebench.errors import (
    CommandTimedOut,
    DeviceError,
    DeviceLost,
    DeviceNotFound,
    DeviceRefused,
    DeviceUnauthorized,
    NotInstalled,
)
from edgebench.transport import adb
from edgebench.transport.adb import AdbChannel, Listed, choose, list_devices, open_channel, parse_devices, pick
from edgebench.transport.adb_python import AdbShellChannel
from edgebench.transport.remote import Remote
from tests.transport.rigs import use_server
from tests.virtual_phone.faults import Faults
from tests.virtual_phone.fixtures import adb_daemon, adb_server

PLUGGED = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
8A2X0YBCD              device usb:1-4 product:husky model:Pixel_8_Pro device:husky transport_id:3
emulator-5554          offline transport_id:1
192.168.1.20:5555      unauthorized transport_id:12
R58M123ABC             no permissions (user in plugdev group; are your udev rules wrong?); see \
[http://developer.android.com/tools/device.html] usb:1-3 transport_id:2
(no serial number)     recovery usb:1-2
adb-8A2X-abc._adb-tls-connect._tcp device product:x model:Y device:z transport_id:4
adb: some news about mDNS

"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with adb_server(tmp_path / "host") as started:
        use_server(monkeypatch, started)
        yield started


def test_devices_are_read_with_their_states_and_what_does_not_read_is_kept():
    listing = parse_devices(PLUGGED)
    assert [(each.serial, each.state) for each in listing.devices] == [
        ("8A2X0YBCD", "device"),
        ("emulator-5554", "offline"),
        ("192.168.1.20:5555", "unauthorized"),
        ("R58M123ABC", "no permissions"),
        ("(no serial number)", "recovery"),
        ("adb-8A2X-abc._adb-tls-connect._tcp", "device"),
    ]
    assert listing.devices[0] == Listed("8A2X0YBCD", "device", "Pixel_8_Pro", "husky", "husky", "1-4")
    assert listing.ignored == ("adb: some news about mDNS",)


def test_lines_that_adb_did_not_take_for_news_are_told_with_the_missing_device():
    with pytest.raises(DeviceNotFound, match="no device is connected; adb also said: strange things"):
        pick(parse_devices("List of devices attached\nstrange things"), None)


@pytest.mark.parametrize(
    ("serial", "error", "says"),
    [
        ("emulator-5554", DeviceNotFound, "offline"),
        ("192.168.1.20:5555", DeviceUnauthorized, "does not trust"),
        ("R58M123ABC", DeviceRefused, "rules"),
        ("(no serial number)", DeviceNotFound, "recovery mode"),
        (
            "nonesuch",
            DeviceNotFound,
            r"no device nonesuch; connected: 8A2X0YBCD \(Pixel_8_Pro\), emulator-5554 \(offline\)",
        ),
        (None, DeviceNotFound, "6 devices are connected"),
    ],
)
def test_each_state_that_cannot_be_used_has_its_own_error_and_mend(serial, error, says):
    with pytest.raises(error, match=says) as caught:
        pick(parse_devices(PLUGGED), serial)
    assert caught.value.hint


def test_none_one_and_two_devices(server, tmp_path, monkeypatch):
    with pytest.raises(DeviceNotFound, match="no device is connected"):
        choose(None)
    with adb_daemon(tmp_path / "a") as first, adb_daemon(tmp_path / "b") as second:
        server.connect(first)
        assert choose(None) == first.address
        assert [(each.serial, each.state, each.model) for each in list_devices()] == [
            (first.address, "device", "Pixel_8_Pro")
        ]
        server.connect(second)
        with pytest.raises(
            DeviceNotFound, match=f"{first.address}.*{second.address}|{second.address}.*{first.address}"
        ) as e:
            choose(None)
        assert "--serial" in e.value.hint
        assert choose(second.address) == second.address
        monkeypatch.setenv("ANDROID_SERIAL", second.address)
        assert choose(None) == second.address
        assert Remote(AdbChannel.open(first.address)).run(["echo", "a"]).output == "a\n", (
            "asked for, and not $ANDROID_SERIAL"
        )


def test_an_address_is_connected_to(server, tmp_path):
    with adb_daemon(tmp_path / "a") as phone:
        assert choose(phone.address) == phone.address
        assert choose(phone.address) == phone.address, "also when it is connected already"
    with pytest.raises(DeviceNotFound, match="nothing answers at"):
        choose("127.0.0.1:9")
    with pytest.raises(DeviceNotFound, match="there is no host"):
        choose("no-such-host.invalid:5555")


def test_an_unauthorised_phone_is_told_and_works_once_it_is_allowed(server, tmp_path):
    with adb_daemon(tmp_path / "a", "--keys", str(tmp_path / "keys")) as phone:
        with pytest.raises(DeviceUnauthorized) as caught:
            choose(phone.address)
        assert "look at its screen" in caught.value.hint
        phone.set_faults(Faults(press_allow=True))
        server.wait_for(phone, "device")
        assert Remote(AdbChannel.open(phone.address)).run(["echo", "a"]).output == "a\n"


def test_a_phone_that_takes_its_trust_back_is_unauthorised_and_not_lost(server, tmp_path):
    with adb_daemon(tmp_path / "a", "--keys", str(tmp_path / "keys")) as phone:
        phone.set_faults(Faults(press_allow=True))
        server.connect(phone)
        remote = Remote(AdbChannel.open(phone.address))
        phone.set_faults(Faults(unauthorized=True))
        with contextlib.suppress(RuntimeError):
            server.connect(phone, until="unauthorized")
        with pytest.raises(DeviceUnauthorized):
            remote.run(["echo", "a"])


def test_an_offline_phone_is_lost_and_comes_back(server, tmp_path):
    with adb_daemon(tmp_path / "a") as phone:
        remote = Remote(AdbChannel.open(phone.address))
        phone.set_faults(Faults(offline=True))
        with pytest.raises(DeviceLost):
            for _ in range(100):
                remote.run(["echo", "a"])
                time.sleep(0.02)
        assert remote.wait(0.5) is False
        phone.set_faults(Faults())
        assert remote.wait(60)
        assert remote.run(["echo", "a"]).output == "a\n"


def test_a_frozen_phone_ends_at_the_bound(server, tmp_path, monkeypatch):
    monkeypatch.setattr("edgebench.transport.remote.KILL_TIMEOUT_S", 1.0)
    with adb_daemon(tmp_path / "a") as phone:
        remote = Remote(AdbChannel.open(phone.address))
        phone.set_faults(Faults(frozen=True))
        with pytest.raises(CommandTimedOut) as caught:
            remote.run(["echo", "a"], timeout_s=1)
        assert "may still run" in caught.value.hint
        phone.set_faults(Faults())
        assert remote.wait(30)


def test_an_old_phone_without_the_shell_protocol_tells_statuses_all_the_same(server, tmp_path):
    with adb_daemon(tmp_path / "a") as phone:
        phone.set_faults(Faults(without_features=("shell_v2", "stat_v2", "ls_v2")))
        server.connect(phone)
        remote = Remote(AdbChannel.open(phone.address))
        assert remote.run_script("printf 'a\\nb'; exit 9").status == 9
        path = tmp_path / "file"
        path.write_bytes(os.urandom(100_000))
        remote.push(path, f"{tmp_path}/device", verify=True)


def test_a_server_that_is_not_running_is_started_and_outlives_the_client(server, tmp_path, monkeypatch):
    server.adb("kill-server")
    with adb_daemon(tmp_path / "a") as phone:
        remote = Remote(AdbChannel.open(phone.address))
        with pytest.raises(CommandTimedOut):
            remote.run(["sleep", "60"], timeout_s=1)
        assert server.state(phone.address) == "device", "the client was killed, not the server"


def fake_adb(folder: Path, script: str) -> None:
    folder.mkdir()
    program = folder / "adb"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def own_path(tmp_path, monkeypatch):
    """PATH is a folder of the test's; the looked-up client is forgotten before and after."""
    adb.find_adb.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    monkeypatch.delenv("ANDROID_SDK_ROOT", raising=False)
    yield tmp_path / "bin"
    adb.find_adb.cache_clear()


def test_two_versions_of_adb_are_named_as_the_cause(own_path):
    fake_adb(
        own_path,
        'echo "adb server version (41) doesn\'t match this client (39); killing..." >&2\n'
        "echo \"error: device 'x' not found\" >&2; exit 1",
    )
    with pytest.raises(DeviceError, match="different versions") as caught:
        list_devices()
    assert "which -a adb" in caught.value.hint


def test_a_client_that_hangs_is_ended(own_path, monkeypatch):
    fake_adb(own_path, "exec /bin/sleep 300")
    monkeypatch.setattr("edgebench.transport.adb_client._START_S", 0.3)
    with pytest.raises(DeviceError, match="did not answer") as caught:
        list_devices()
    assert "kill-server" in caught.value.hint


def test_a_client_that_says_all_and_does_not_end_is_ended(own_path, monkeypatch):
    fake_adb(own_path, 'exec >/dev/null 2>&1; trap "" TERM HUP INT; /bin/sleep 300')
    monkeypatch.setattr("edgebench.transport.adb_client._REAP_S", 0.3)
    with pytest.raises(DeviceError, match="did not end") as caught:
        list_devices()
    assert "kill-server" in caught.value.hint


def test_the_client_of_the_sdk_is_found(own_path, monkeypatch, tmp_path):
    (tmp_path / "sdk").mkdir()
    fake_adb(tmp_path / "sdk" / "platform-tools", "echo 'List of devices attached'")
    with pytest.raises(NotInstalled, match="no program adb"):
        list_devices()
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    assert list_devices() == ()


def test_without_adb_the_package_is_used(own_path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with adb_daemon(tmp_path / "a") as phone:
        channel = open_channel(phone.address)
        assert isinstance(channel, AdbShellChannel)
        channel.close()


def test_with_neither_it_is_said_how_to_install_either(own_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "adb_shell.transport.tcp_transport", None)
    with pytest.raises(NotInstalled) as caught:
        open_channel("127.0.0.1:5555")
    assert "apt-get install adb" in caught.value.hint and "adb-shell" in caught.value.hint
