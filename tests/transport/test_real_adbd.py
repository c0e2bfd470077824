"""The adb channel against AOSP's own adbd: what the imitated phone might have wrong."""

from __future__ import annotations

import os
import subprocess

import pytest

from edgebench.errors import CommandTimedOut, DeviceLost, DeviceRefused, DeviceUnauthorized
from edgebench.transport.adb import AdbChannel
from edgebench.transport.adb_python import AdbShellChannel, ensure_key, key_path
from edgebench.transport.remote import Remote
from tests.transport.rigs import use_server
from tests.virtual_phone.fixtures import adb_server
from tests.virtual_phone.real_adbd import real_adbd

pytestmark = pytest.mark.slow
TMP = "/data/local/tmp"


@pytest.fixture(scope="module", params=["adb", "adb-shell"])
def phone_and_remote(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        ensure_key(key_path())
        key = folder / "host" / "home" / ".android" / "adbkey"
        key.parent.mkdir(parents=True)
        subprocess.run(["adb", "keygen", str(key)], check=True, capture_output=True, timeout=30)
        trusts = [key.with_name("adbkey.pub"), key_path().with_name("adbkey.pub")]
        with adb_server(folder / "host") as server, real_adbd(folder / "phone", trusts=trusts) as phone:
            use_server(patch, server)
            opened = AdbChannel if request.param == "adb" else AdbShellChannel
            remote = Remote(opened.open(phone.address))
            yield phone, remote
            remote.close()


def test_statuses_and_bytes_come_through(phone_and_remote):
    _, remote = phone_and_remote
    ran = remote.run_script(r"printf 'a\r\nb\n\001'; echo err >&2; exit 42")
    assert (ran.status, ran.output) == (42, "a\r\nb\n\x01err\n")
    assert remote.run(["seq", "50000"], timeout_s=60).output.splitlines()[-1] == "50000"


def test_the_group_is_killed_at_the_bound_and_on_an_interrupt(phone_and_remote):
    phone, remote = phone_and_remote
    family = "sleep 987 & setsid sleep 987 & ( sleep 987 & ); echo started; wait; sleep 987"

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(CommandTimedOut):
        remote.run_script(family, timeout_s=2)
    with pytest.raises(KeyboardInterrupt):
        remote.run_script(family, timeout_s=60, on_line=interrupt)
    assert [name for name in phone.processes().values() if "987" in name] == []


def test_files_go_and_come_verified(phone_and_remote, tmp_path):
    phone, remote = phone_and_remote
    model = tmp_path / "model.bin"
    model.write_bytes(os.urandom(5_000_017))
    path = remote.push(model, f"{TMP}/it's new", verify=True, executable=True)
    assert (phone.data / "local" / "tmp" / "it's new" / path.rpartition("/")[2]).stat().st_mode & 0o777 == 0o755
    remote.pull(path, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == model.read_bytes()
    remote.put(b"plan", f"{TMP}/plan.json")
    assert (phone.data / "local" / "tmp" / "plan.json").read_bytes() == b"plan"
    remote.remove([f"{TMP}/it's new", f"{TMP}/plan.json"])
    assert list((phone.data / "local" / "tmp").iterdir()) == []


def test_a_push_that_the_phone_refuses_says_why_at_once(phone_and_remote, tmp_path):
    _, remote = phone_and_remote
    model = tmp_path / "model.bin"
    model.write_bytes(os.urandom(5_000_000))
    with pytest.raises(DeviceRefused):
        remote._channel.send(model, "/proc/nothing", None, timeout_s=300)
    assert remote.run(["echo", "fine"]).output == "fine\n"


def test_a_daemon_that_dies_is_a_lost_device_that_comes_back(phone_and_remote):
    phone, remote = phone_and_remote

    def on_line(_line: str) -> None:
        phone.take_down()

    with pytest.raises(DeviceLost):
        remote.run_script("echo up; sleep 30", timeout_s=60, on_line=on_line)
    phone.bring_up()
    assert remote.wait(60)
    assert remote.run(["echo", "back"]).output == "back\n"


def test_a_phone_that_trusts_nobody_is_unauthorised(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("edgebench.transport.adb_python._ALLOW_S", 0.5)
    with adb_server(tmp_path / "host") as server, real_adbd(tmp_path / "phone") as phone:
        use_server(monkeypatch, server)
        for opened in (AdbChannel, AdbShellChannel):
            with pytest.raises(DeviceUnauthorized):
                opened.open(phone.address)
