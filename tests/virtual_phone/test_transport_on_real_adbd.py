"""The channels' contract once more, against AOSP's own adbd: what the tests' stand-in may have imitated wrongly.

All of it but what needs a fault of the stand-in to be switched on; and the faults that a real adbd can have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FunctionType

import pytest

from edgebench.errors import CommandTimedOut, DeviceFull, DeviceLost
from edgebench.transport.adb import AdbChannel
from edgebench.transport.adb_python import AdbShellChannel, ensure_key, key_path
from edgebench.transport.remote import Remote
from tests.transport import test_channel_commands as commands
from tests.transport import test_channel_files as files
from tests.transport.conftest import device, model  # noqa: F401 - the fixtures of its tests
from tests.transport.rigs import Rig, use_server
from tests.virtual_phone import host
from tests.virtual_phone.fixtures import AdbServer
from tests.virtual_phone.real_adbd import RealAdbd, real_adbd

for _name, _test in (vars(commands) | vars(files)).items():
    if isinstance(_test, FunctionType) and _name.startswith("test_") and "set_faults" not in _test.__code__.co_names:
        globals()[_name] = _test


@pytest.fixture(scope="module", params=["adb", "adb-shell"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, adb_host: AdbServer
) -> Iterator[tuple[Rig, RealAdbd]]:
    """A channel to a phone that sees this machine's folders under their own names."""
    folder = tmp_path_factory.mktemp(request.param)
    sent: list[str] = []
    channel_type = AdbChannel if request.param == "adb" else AdbShellChannel
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        use_server(patch, adb_host)
        ensure_key(key_path())
        keys = [Path(adb_host.env["HOME"]) / ".android" / "adbkey.pub", key_path().with_name("adbkey.pub")]
        phone = stack.enter_context(real_adbd(folder / "phone", trusts=keys))
        channel = channel_type.open(phone.address)
        send = channel.send

        def counted(local: Path, remote: str, *args: object, **more: object) -> None:
            sent.append(remote)
            send(local, remote, *args, **more)  # type: ignore[arg-type]

        patch.setattr(channel, "send", counted)
        patch.setattr(commands, "alive", lambda pid: pid == os.getpid() or runs(phone, pid))
        remote = Remote(channel)
        stack.callback(remote.close)
        (folder / "device").mkdir()
        yield Rig(request.param, remote, folder / "device", lambda faults: None, lambda: len(sent)), phone


@pytest.fixture(scope="module")
def shared(world: tuple[Rig, RealAdbd]) -> Rig:
    """What the contract's ``device`` stands on."""
    return world[0]


@pytest.fixture
def remote(world: tuple[Rig, RealAdbd]) -> Iterator[Remote]:
    """Answering, before and after."""
    rig, phone = world
    assert rig.remote.wait(30)
    yield rig.remote
    phone.thaw()
    phone.bring_up()
    assert rig.remote.wait(30)
    assert rig.remote.run(["echo", "back"]).output == "back\n"


@pytest.fixture
def phone(world: tuple[Rig, RealAdbd]) -> RealAdbd:
    return world[1]


def runs(phone: RealAdbd, pid: int) -> bool:
    """``pid`` is the phone's own number of the process."""
    return any(host.inner_pid(ours) == pid for ours in phone.processes())


@pytest.mark.parametrize("script", ["echo begun; sleep 300", "echo begun; seq 1 100000000"])
def test_an_adbd_that_dies_under_a_command_is_a_lost_device(remote: Remote, phone: RealAdbd, script: str) -> None:
    def on_line(line: str) -> None:
        if line == "begun":
            phone.take_down()

    with pytest.raises(DeviceLost):
        remote.run_script(script, on_line=on_line, timeout_s=60)


@pytest.mark.slow
def test_an_adbd_that_stops_answering_is_found_out_at_the_bound(remote: Remote, phone: RealAdbd) -> None:
    with pytest.raises(CommandTimedOut, match="did not end in 3 s"):
        remote.run_script("echo begun; exec sleep 299", on_line=lambda line: phone.freeze(), timeout_s=3)
    phone.thaw()
    # Nobody could end it then; adbd hangs up on it now.
    host.patiently(lambda: "sleep 299" not in phone.processes().values(), "it still heats the phone")


def test_an_adbd_that_dies_under_a_push_is_a_lost_device_and_the_next_push_arrives(
    remote: Remote, phone: RealAdbd, tmp_path: Path
) -> None:
    large, folder = tmp_path / "large.bin", tmp_path / "pushed"
    large.write_bytes(os.urandom(64 << 20))

    def on_progress(moved: int) -> None:
        if moved > 0:
            phone.take_down()

    with pytest.raises(DeviceLost):
        remote.push(large, str(folder), on_progress=on_progress)
    phone.bring_up()
    assert remote.wait(30)
    arrived = Path(remote.push(large, str(folder), verify=True))
    assert arrived.read_bytes() == large.read_bytes()
    assert list(folder.iterdir()) == [arrived]


def test_a_phone_without_room_is_full(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(bytes(1 << 20))
    assert remote.run_script("mkdir -p /data/small && mount -t tmpfs -o size=64k room /data/small").status == 0
    with pytest.raises(DeviceFull):
        remote.push(tmp_path / "model", "/data/small")
    assert remote.check(["ls", "-A", "/data/small"]) == ""
    assert remote.run(["umount", "/data/small"]).status == 0
