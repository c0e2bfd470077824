"""What every way to a device promises, held against all of them: the adb client, adb-shell, and this machine's own shell."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from edgebench.errors import CommandTimedOut, DeviceFull, DeviceLost, DeviceRefused, TransferFailed
from edgebench.files import sha256_bytes
from tests.transport.rigs import KINDS, Rig, rig
from tests.virtual_phone.faults import CorruptPush, DropCommand, DropPush, Faults, FullStorage, TruncatePull

MEBI = 1 << 20
NAMES = ["plain", "with space", "it's", 'say "no"', "a$HOME`id`;*", "-rf", "ünïcode"]


@pytest.fixture(scope="module", params=KINDS)
def shared(request, tmp_path_factory):
    with rig(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
def device(shared: Rig):
    shared.set_faults(Faults())
    assert shared.remote.wait(20)
    yield shared
    shared.set_faults(Faults())


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(MEBI + 17))
    return path


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


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def parts(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.startswith(".")]


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


def test_a_file_arrives_under_its_hash_with_its_mode_and_is_sent_once(device, model):
    folder = f"{device.folder}/new folder/it's"
    progress: list[int] = []
    before = device.sent()
    path = device.remote.push(model, folder, executable=True, on_progress=progress.append)
    assert path == f"{folder}/{sha256_bytes(model.read_bytes())}"
    assert Path(path).read_bytes() == model.read_bytes()
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o755
    assert progress == sorted(progress) and progress[-1] == model.stat().st_size
    assert device.remote.push(model, folder) == path
    assert device.sent() == before + 1
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o644, "as asked last"
    assert parts(Path(folder)) == []


def test_an_empty_file_arrives(device, tmp_path):
    (tmp_path / "empty").touch()
    path = device.remote.push(tmp_path / "empty", str(device.folder), verify=True)
    assert Path(path).read_bytes() == b""


def test_a_file_of_the_wrong_size_is_sent_again(device, model):
    path = Path(device.remote.push(model, str(device.folder)))
    path.write_bytes(b"half")
    device.remote.push(model, str(device.folder))
    assert path.read_bytes() == model.read_bytes()


def test_a_changed_file_of_the_right_size_is_found_by_verifying_only(device, model):
    path = Path(device.remote.push(model, str(device.folder)))
    changed = bytearray(path.read_bytes())
    changed[5] ^= 1
    path.write_bytes(changed)
    device.remote.push(model, str(device.folder))
    assert path.read_bytes() == changed
    device.remote.push(model, str(device.folder), verify=True)
    assert path.read_bytes() == model.read_bytes()


def test_a_push_that_arrives_wrong_is_refused_and_leaves_nothing(device, model):
    folder = device.folder / "corrupt"
    device.set_faults(Faults(corrupt_push=CorruptPush(at_byte=1000)))
    with pytest.raises(TransferFailed, match="SHA-256"):
        device.remote.push(model, str(folder), verify=True)
    assert list(folder.iterdir()) == []


def test_a_full_device_is_told_and_left_clean(device, model):
    folder = device.folder / "full"
    device.set_faults(Faults(full_storage=FullStorage(after_bytes=70_000)))
    with pytest.raises(DeviceFull, match="No space left"):
        device.remote.push(model, str(folder))
    device.set_faults(Faults())
    assert device.remote.wait(20)
    assert list(folder.iterdir()) == []


def test_a_push_lost_half_way_leaves_no_file_and_its_rest_goes_with_the_next(device, model):
    folder = device.folder / "lost"
    device.set_faults(Faults(drop_push=DropPush(after_bytes=300_000, times=1)))
    with pytest.raises(DeviceLost):
        device.remote.push(model, str(folder))
    device.set_faults(Faults())
    assert device.remote.wait(30)
    assert [name for name in names(folder) if not name.startswith(".")] == []
    path = device.remote.push(model, str(folder), verify=True)
    assert names(folder) == [Path(path).name]


def test_a_folder_that_cannot_be_made_is_refused(device, model):
    (device.folder / "a file").touch()
    with pytest.raises(DeviceRefused, match=r"(?i)not a directory|file exists"):
        device.remote.push(model, f"{device.folder}/a file")
    with pytest.raises(DeviceRefused):
        device.remote.push(model, "/proc/nothing")


@pytest.mark.parametrize("name", NAMES)
def test_small_files_are_written_and_replaced_whole_whatever_their_name(device, name, tmp_path):
    remote = f"{device.folder}/deep er/{name}"
    device.remote.put(b'{"plan": 1}', remote)
    device.remote.put(b'{"plan": 22}', remote)
    assert Path(remote).read_bytes() == b'{"plan": 22}'
    assert parts(Path(remote).parent) == []
    device.remote.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b'{"plan": 22}'


def test_an_interrupted_push_leaves_nothing(device, tmp_path):
    model = tmp_path / "large.bin"
    model.write_bytes(os.urandom(24 * MEBI))
    folder = device.folder / "interrupted"

    def on_progress(moved: int) -> None:
        if moved > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.remote.push(model, str(folder), on_progress=on_progress)
    assert list(folder.iterdir()) == []


def test_a_file_is_pulled_whole_with_progress(device, tmp_path):
    data = os.urandom(3 * MEBI)
    (device.folder / "trace 1.jsonl").write_bytes(data)
    progress: list[int] = []
    device.remote.pull(f"{device.folder}/trace 1.jsonl", tmp_path / "new" / "trace", progress.append)
    assert (tmp_path / "new" / "trace").read_bytes() == data
    assert progress == sorted(progress) and progress[-1] == len(data)


def test_a_pull_cut_short_is_refused_and_the_old_file_stays(device, tmp_path):
    (device.folder / "trace").write_bytes(os.urandom(MEBI))
    local = tmp_path / "trace"
    local.write_bytes(b"old")
    device.set_faults(Faults(truncate_pull=TruncatePull(to_bytes=1000)))
    with pytest.raises(TransferFailed, match="1000 bytes of"):
        device.remote.pull(f"{device.folder}/trace", local)
    assert names(tmp_path) == ["trace"] and local.read_bytes() == b"old"


def test_pulling_what_is_not_there_or_no_file_is_refused(device, tmp_path):
    with pytest.raises(DeviceRefused, match="No such file"):
        device.remote.pull(f"{device.folder}/nothing", tmp_path / "x")
    with pytest.raises(DeviceRefused, match=r"(?i)is a directory"):
        device.remote.pull(str(device.folder), tmp_path / "x")
    assert names(tmp_path) == []


def test_many_files_and_folders_are_removed_and_what_is_gone_is_fine(device):
    folder = device.folder / "many"
    (folder / "sub" / "sub").mkdir(parents=True)
    files = [folder / f"{'x' * 80} {i}" for i in range(700)]
    for file in files:
        file.touch()
    device.remote.remove([str(folder / "sub"), *map(str, files), str(folder / "gone")])
    assert list(folder.iterdir()) == []


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
