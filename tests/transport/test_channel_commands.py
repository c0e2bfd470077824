"""Commands, on every way to a device: the adb client, adb-shell, ssh, and this machine's own shell."""

from __future__ import annotations

import os
import shlex
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgebench.errors import CommandTimedOut, DeviceLost, DeviceRefused
from tests.transport.rigs import NAMES
from tests.virtual_phone.faults import DropCommand, Faults


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def await_gone(*pids: int) -> None:
    limit = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < limit, f"left behind: {[pid for pid in pids if alive(pid)]}"
        time.sleep(0.02)


@pytest.mark.parametrize("status", [0, 1, 3, 126, 255])
def test_the_exit_status_comes_back(device, status):
    assert device.remote.run_script(f"exit {status}").status == status


def test_a_signal_is_128_and_its_number(device):
    assert device.remote.run(["sh", "-c", "kill -SEGV $$"]).status == 128 + 11


def test_stdout_and_stderr_come_merged_and_in_order(device):
    ran = device.remote.run_script("echo one; echo two >&2; echo three")
    assert (ran.status, ran.output) == (0, "one\ntwo\nthree\n")


def test_no_byte_of_the_output_is_rewritten(device):
    ran = device.remote.run(["printf", r"a\r\nb\n\303\274\001\033[0m\000end"])
    assert ran.output == "a\r\nb\nü\x01\x1b[0m\0end"


def test_bytes_that_are_no_text_are_replaced(device):
    assert device.remote.run(["printf", r"x\377y"]).output == "x�y"


def test_a_large_output_is_complete(device):
    ran = device.remote.run_script("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done", timeout_s=60)
    assert ran.output.splitlines() == [f"line {i}" for i in range(20000)]


@pytest.mark.parametrize("name", [*NAMES, "", "two\nlines", "\\n"])
def test_arguments_arrive_as_they_are(device, name):
    assert device.remote.run(["printf", "%s|%s", name, "next"]).output == f"{name}|next"


def test_stdin_is_empty(device):
    assert device.remote.run(["cat"], timeout_s=20).output == ""


def test_a_syntax_error_is_a_status_and_not_a_lost_device(device):
    ran = device.remote.run_script("if ; (")
    assert ran.status != 0 and "yntax error" in ran.output


def test_a_command_that_is_not_there_is_127(device):
    assert device.remote.run(["no-such-command-here"]).status == 127


def test_the_process_list_does_not_end_the_command(device):
    ran = device.remote.run_script("cat /proc/$$/cmdline; echo; ps -ef; echo last")
    assert ran.status == 0 and ran.output.endswith("last\n")


def test_check_gives_the_output_or_the_refusal(device):
    assert device.remote.check(["echo", "yes"]) == "yes\n"
    with pytest.raises(DeviceRefused, match=r"status [12]: .*no/such"):
        device.remote.check(["ls", "/no/such"])


def test_lines_come_while_the_command_still_runs(device):
    """The command ends only because its first line was seen."""
    go = device.folder / "go on"
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "ready":
            go.touch()

    ran = device.remote.run(
        ["sh", "-c", 'echo ready; until [ -e "$1" ]; do sleep 0.02; done; echo gone; printf tail', "sh", str(go)],
        on_line=on_line,
        timeout_s=30,
    )
    assert (ran.status, lines) == (0, ["ready", "gone", "tail"])


@pytest.mark.slow
def test_a_command_that_is_silent_for_long_is_not_taken_for_lost(device):
    if device.kind == "local":
        pytest.skip("no packets, no bounds between them")
    assert device.remote.run_script("sleep 12; echo done", timeout_s=60).output == "done\n"


# A child in the group, one in a session of its own, and one whose parent is gone; the shell waits for all.
FAMILY = """
sleep 300 & echo $!
setsid sleep 300 & echo $!
( sleep 300 & echo $! )
echo $$
echo started
wait
sleep 300
"""


def test_at_the_bound_the_remote_process_and_its_children_are_killed(device):
    with pytest.raises(CommandTimedOut, match=r"did not end in 2 s") as caught:
        device.remote.run_script(FAMILY, timeout_s=2)
    assert caught.value.output.endswith("started\n"), "what it wrote until then is kept"
    pids = [int(line) for line in caught.value.output.split() if line.isdigit()]
    assert len(pids) == 4
    await_gone(*pids)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, ConnectionResetError])
def test_an_interrupt_kills_the_remote_process(device, error):
    pids: list[int] = []

    def on_line(line: str) -> None:
        if line == "started":
            raise error
        pids.append(int(line))

    with pytest.raises(error):
        device.remote.run_script(FAMILY, on_line=on_line, timeout_s=60)
    await_gone(*pids)
    assert device.remote.run(["echo", "fine"]).output == "fine\n", "the channel goes on"


def test_a_process_that_closed_its_output_is_no_reason_to_wait_or_to_be_lost(device):
    ran = device.remote.run_script("sleep 300 >/dev/null 2>&1 & echo $!", timeout_s=60)
    device.remote.kill(int(ran.output))
    await_gone(int(ran.output))


def test_what_keeps_the_output_open_in_the_background_is_ended_and_the_status_stays(device):
    ran = device.remote.run_script("sleep 300 & echo $!; exit 4", timeout_s=1)
    assert ran.status == 4
    await_gone(int(ran.output))


def test_killing_what_is_gone_is_fine_and_another_session_is_left_alone(device):
    ran = device.remote.run_script("echo $$")
    device.remote.kill(int(ran.output))
    assert alive(os.getpid())
    with pytest.raises(ValueError, match="refusing"):
        device.remote.kill(1)


def test_a_device_lost_half_way_is_told(device):
    device.set_faults(Faults(drop_command=DropCommand(after_bytes=100_000, containing="seq", times=1)))
    with pytest.raises(DeviceLost):
        device.remote.run(["seq", "1000000"], timeout_s=60)


def test_a_device_lost_in_silence_is_told(device):
    if device.kind == "local":
        pytest.skip("this machine is not lost")
    device.set_faults(Faults(drop_command=DropCommand(after_ms=300, containing="sleep 25", times=1)))
    with pytest.raises(DeviceLost):
        device.remote.run(["sleep", "25"], timeout_s=60)
    device.set_faults(Faults())
    assert device.remote.wait(30)
    assert device.remote.run(["echo", "back"]).output == "back\n"


def test_two_threads_may_use_two_remotes_of_one_machine(device):
    """A run asks one device while another one's command is under way."""
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(device.remote.run_script("sleep 0.3; echo a").output))
    if device.kind == "adb-shell":
        pytest.skip("one connection, one command")
    thread.start()
    assert device.remote.run(["echo", "b"]).output == "b\n"
    thread.join(20)
    assert done == ["a\n"]


def test_what_runs_beside_a_command_does_not_wait_for_it_and_leaves_it_alone(device):
    beside = device.remote.beside()
    if device.kind == "adb-shell":
        assert beside is None, "a phone serves one connection of it"
        return
    mark = device.folder / "mark"
    waits = f"until [ -e {shlex.quote(str(mark))} ]; do sleep 0.05; done; echo seen"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(device.remote.run_script, waits, timeout_s=30)
        beside.check(["touch", str(mark)])
        assert waiting.result(timeout=30).output == "seen\n"
        mark.unlink()
        waiting = pool.submit(device.remote.run_script, waits, timeout_s=30)
        beside.close()
        mark.touch()
        assert waiting.result(timeout=30).output == "seen\n"
