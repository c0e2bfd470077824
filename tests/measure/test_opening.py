"""From a target to a device: what is checked before anything is changed on it, and what is given back at the end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from edgebench.catalog import resolve_target
from edgebench.device.android.device import AndroidDevice
from edgebench.errors import DeviceBusy, DeviceNotFound, DeviceRefused, EdgebenchError, UsageError
from edgebench.events import Event, Note, ignore
from edgebench.measure import opening, reaching
from edgebench.measure.opening import Access, described_target, on_serial, open_bench, wrong_model
from edgebench.records import DeviceFacts, TargetSpec
from edgebench.transport.remote import Ran
from tests.measure.fakes import FACTS

ANDROID = resolve_target("android")
PHONE = replace(FACTS, model="Google Pixel 8 Pro", soc="Google Tensor G3", abi="arm64-v8a", machine="aarch64")


class Shell:
    """Answers every script of locking, sweeping and settings as a phone in order does; ``scripts`` keeps them.

    ``held`` is what its lock says, nothing where nobody holds it.
    """

    address = "8A2X0YBCD"

    def __init__(self, sweeps: str = "", owned: bool = True, held: str = "") -> None:
        self.scripts: list[str] = []
        self.sweeps = sweeps
        self.owned = owned
        self.held = held

    def looks(self) -> int:
        """How many of its scripts do nothing but look at its lock."""
        return sum("holder" in script and "ln -s" not in script for script in self.scripts)

    def run_script(self, script: str, /, *, timeout_s: float = 15.0) -> Ran:
        del timeout_s
        self.scripts.append(script)
        if "echo ours" in script:
            return Ran(0, "ours\n" if self.owned else "")
        if "ln -s" in script:
            return Ran(0, "taken\n")
        if "removed ${folder" in script:
            return Ran(0, self.sweeps)
        return Ran(0, self.held if "holder" in script else "")

    def wait(self, timeout_s: float) -> bool:
        del timeout_s
        return True


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Shell:
    """``open_bench`` finds this phone."""
    shell = Shell()
    finds(monkeypatch, shell, PHONE)
    return shell


def finds(monkeypatch: pytest.MonkeyPatch, shell: Shell, facts: DeviceFacts) -> None:
    @contextlib.contextmanager
    def reached(_target: TargetSpec) -> Iterator[Shell]:
        yield shell

    monkeypatch.setattr(reaching, "reached", reached)
    # Nothing is built for a phone that nothing is launched on.
    monkeypatch.setattr(opening, "native_agents", lambda _abi, _emit: {})
    monkeypatch.setattr(AndroidDevice, "facts", lambda _self: facts)


def refusal(target: TargetSpec) -> EdgebenchError:
    with pytest.raises(EdgebenchError) as raised, open_bench(target, ignore):
        pytest.fail("it must not be opened")
    assert raised.value.hint
    return raised.value


def test_a_phone_is_held_while_the_block_runs_and_let_go_after(phone: Shell) -> None:
    with open_bench(ANDROID, ignore) as bench:
        assert (bench.facts, bench.launched_from, bench.settings) == (PHONE, "adb shell", ())
        [looked, taken] = [script for script in phone.scripts if "lock" in script]
        assert "ln -s" not in looked and "ln -s" in taken
    assert "rm -f" in phone.scripts[-1] and "lock" in phone.scripts[-1]


def test_it_is_let_go_after_an_error_too(phone: Shell) -> None:
    with pytest.raises(ZeroDivisionError), open_bench(ANDROID, ignore):
        raise ZeroDivisionError
    assert "lock" in phone.scripts[-1]


def busy(target: TargetSpec = ANDROID) -> DeviceBusy:
    """The error of a run that would have to wait."""
    with pytest.raises(DeviceBusy) as raised, open_bench(target, ignore, Access(wait=False)):
        pytest.fail("somebody measures there")
    return raised.value


@pytest.mark.parametrize("target", [ANDROID, replace(ANDROID, serial=Shell.address)])
def test_a_second_run_of_this_computer_asks_the_phone_nothing_at_all(
    monkeypatch: pytest.MonkeyPatch, phone: Shell, target: TargetSpec
) -> None:
    """Not even whose it is: a launch of the first one may be timed just then."""
    with open_bench(ANDROID, ignore):
        second = Shell()
        finds(monkeypatch, second, PHONE)
        monkeypatch.setattr(AndroidDevice, "facts", lambda _self: pytest.fail("it was asked who it is"))
        assert f"process {os.getpid()}, for " in busy(target).message
    assert second.scripts == []


def test_a_second_run_of_this_computer_does_not_even_log_in_to_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    class Board(Shell):
        address = "ann@10.0.0.7"

    @contextlib.contextmanager
    def reached(_target: TargetSpec) -> Iterator[Shell]:
        logins.append(Board())
        yield logins[-1]

    logins: list[Shell] = []
    monkeypatch.setattr(reaching, "reached", reached)
    monkeypatch.setattr(opening, "device_at", lambda *_: SimpleNamespace(facts=lambda: PHONE, platform="linux"))
    monkeypatch.setattr(opening, "place_of", lambda *_: reaching.ANDROID_PLACE)
    monkeypatch.setattr(opening, "board_agents", lambda *_, **__: {})
    board = on_serial(resolve_target("linux-board"), Board.address)
    with open_bench(board, ignore):
        assert f"process {os.getpid()}, for " in busy(board).message
        assert len(logins) == 1


def test_a_run_of_another_computer_is_waited_for_before_the_phone_is_asked_anything_but_whose_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shell = Shell(held="holder somebody\nnow 1234 100\nlease\nmade 1000 1003\n")
    finds(monkeypatch, shell, PHONE)
    monkeypatch.setattr(AndroidDevice, "facts", lambda _self: pytest.fail("it was asked who it is"))
    assert "somebody, last seen 3 s ago" in busy().message
    assert len(shell.scripts) == shell.looks() == 1


def test_a_phone_at_another_address_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, phone: Shell) -> None:
    with open_bench(ANDROID, ignore):
        other = Shell()
        other.address = "R58M000000"
        finds(monkeypatch, other, replace(PHONE, id="another"))
        with open_bench(ANDROID, ignore, Access(wait=False)) as bench:
            assert bench.facts.id == "another"


def test_one_phone_at_two_addresses_is_still_one(monkeypatch: pytest.MonkeyPatch, phone: Shell) -> None:
    with open_bench(ANDROID, ignore):
        wireless = Shell()
        wireless.address = "192.168.1.20:5555"
        finds(monkeypatch, wireless, PHONE)
        assert f"process {os.getpid()}, for " in busy().message


def test_what_an_earlier_run_left_is_told(phone: Shell) -> None:
    phone.sweeps = "removed aa\nremoved bb\n"
    told: list[Event] = []
    with open_bench(ANDROID, told.append):
        pass
    assert Note("an earlier run left 2 launch(es) on the device: ended and removed") in told


def test_a_run_that_lost_its_lock_ends_and_says_how_to_go_on(phone: Shell) -> None:
    with open_bench(ANDROID, ignore) as bench:
        bench.thermometer()
        bench.keep()
        phone.owned = False
        for tell in (bench.thermometer, bench.keep):
            with pytest.raises(DeviceBusy) as raised:
                tell()
            assert "--resume last" in raised.value.hint


@pytest.mark.parametrize(
    ("model", "wrong"),
    [(None, False), ("Pixel", False), ("google pixel 8 pro", False), ("Pixel 9", True), ("samsung", True)],
)
def test_the_model_of_a_target_is_part_of_the_makers_and_the_models_name(model: str | None, wrong: bool) -> None:
    assert (wrong_model(replace(ANDROID, model=model), PHONE) is not None) == wrong


def test_another_phone_is_left_alone(phone: Shell) -> None:
    error = refusal(replace(ANDROID, name="mine", model="Galaxy"))
    assert isinstance(error, DeviceNotFound)
    assert "mine asks for a Galaxy" in error.message and "Google Pixel 8 Pro" in error.message
    assert len(phone.scripts) == phone.looks() == 1, "nothing was changed there"


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (replace(PHONE, abi="x86"), "its processor is x86"),
        (replace(PHONE, abi=None, machine="mips"), "its machine is mips"),
    ],
)
def test_a_processor_without_a_harness_is_refused_before_anything_is_changed_on_the_phone(
    monkeypatch: pytest.MonkeyPatch, facts: DeviceFacts, says: str
) -> None:
    shell = Shell()
    finds(monkeypatch, shell, facts)
    error = refusal(ANDROID)
    assert isinstance(error, DeviceRefused) and says in error.message
    assert "arm64-v8a" in error.hint and "abi:" in error.hint
    assert len(shell.scripts) == shell.looks() == 1


def test_the_targets_abi_goes_before_what_the_phone_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    finds(monkeypatch, Shell(), replace(PHONE, abi=None))
    with open_bench(replace(ANDROID, abi="armeabi-v7a"), ignore) as bench:
        assert bench.facts.abi is None


@pytest.mark.parametrize("access", [Access(settings=("stay_awake",)), Access(verify_files=True)])
def test_flags_of_phones_are_refused_for_this_machine(access: Access) -> None:
    with pytest.raises(UsageError) as raised, open_bench(resolve_target("host"), ignore, access):
        pytest.fail("it must not be opened")
    assert "--target android" in raised.value.hint


def test_a_serial_takes_the_place_of_the_targets_address() -> None:
    wireless = replace(ANDROID, address="192.168.1.20:5555")
    assert on_serial(wireless, None) is wireless
    chosen = on_serial(wireless, "8A2X0YBCD")
    assert (chosen.serial, chosen.address) == ("8A2X0YBCD", None)
    with pytest.raises(UsageError):
        on_serial(resolve_target("host"), "8A2X0YBCD")


@pytest.mark.parametrize(
    ("serial", "field"), [("8A2X0YBCD", "serial"), ("192.168.1.20:5555", "address"), ("[fe80::1]:5555", "address")]
)
def test_a_target_of_a_phone_names_it_by_cable_or_by_network(serial: str, field: str) -> None:
    target = described_target("desk", ANDROID, serial, PHONE)
    assert {"serial": target.serial, "address": target.address}[field] == serial
    assert (target.serial is None) != (target.address is None)
    assert (target.name, target.model, target.abi) == ("desk", "Google Pixel 8 Pro", "arm64-v8a")
    assert target.gate == ANDROID.gate
    assert wrong_model(target, PHONE) is None


def test_a_processor_that_is_not_known_is_left_out_of_a_target() -> None:
    assert described_target("desk", ANDROID, "x", replace(PHONE, abi="mips64", soc=None)).abi is None
