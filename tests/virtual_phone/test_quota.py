"""The control groups of both versions, on folders as the kernel lays them out, and on this machine's own."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.virtual_phone.quota import GroupV1, GroupV2, NoGroups, busy_of, make_group


def mounts(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "mounts"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def test_version_1_keeps_its_quota_and_its_account_in_two_hierarchies(tmp_path):
    for name in ("cpu", "cpuacct"):
        (tmp_path / name).mkdir()
    group = make_group(
        "phone",
        mounts(
            tmp_path, f"cgroup {tmp_path}/cpu cgroup rw,cpu 0 0", f"cgroup {tmp_path}/cpuacct cgroup rw,cpuacct 0 0"
        ),
    )
    assert isinstance(group, GroupV1)
    (group.cpuacct / "cpuacct.usage").write_text("1234567\n")
    assert group.busy_ns() == 1234567
    group.set_share(0.6)
    assert (group.cpu / "cpu.cfs_quota_us").read_text() == "6000"
    group.set_share(None)
    assert (group.cpu / "cpu.cfs_quota_us").read_text() == "-1"
    assert [procs.parent for procs in group.procs()] == [group.cpu, group.cpuacct]


def test_two_controllers_in_one_hierarchy_are_one_group(tmp_path):
    (tmp_path / "both").mkdir()
    group = make_group("phone", mounts(tmp_path, f"cgroup {tmp_path}/both cgroup rw,cpu,cpuacct 0 0"))
    assert len(group.procs()) == 1
    group.remove()
    assert not (tmp_path / "both" / "phone").exists()


def test_version_2_has_one_file_for_each_and_borrows_the_controller(tmp_path):
    root = tmp_path / "unified"
    (root / "phone").mkdir(parents=True)
    (root / "cgroup.subtree_control").write_text("memory\n")
    group = make_group("phone", mounts(tmp_path, f"cgroup2 {root} cgroup2 rw 0 0"))
    assert isinstance(group, GroupV2)
    assert (root / "cgroup.subtree_control").read_text() == "+cpu"
    (group.folder / "cpu.stat").write_text("usage_usec 77\nuser_usec 1\n")
    assert group.busy_ns() == 77_000
    (group.folder / "cpu.max").write_text("max 100000\n")
    group.set_share(0.25)
    assert (group.folder / "cpu.max").read_text() == "2500 10000"


def test_without_the_controller_there_is_an_account_and_no_quota(tmp_path):
    (tmp_path / "phone").mkdir()
    group = make_group("phone", mounts(tmp_path, f"cgroup2 {tmp_path} cgroup2 rw 0 0"))
    group.set_share(None)
    with pytest.raises(NoGroups, match="no cpu controller"):
        group.set_share(0.5)


def test_a_machine_without_groups_says_so(tmp_path):
    with pytest.raises(NoGroups, match="no cgroup"):
        make_group("phone", mounts(tmp_path, "proc /proc proc rw 0 0"))


def test_who_may_not_make_a_group_is_told_why(tmp_path):
    with pytest.raises(NoGroups, match="cannot be made"):
        make_group("phone", mounts(tmp_path, f"cgroup2 {tmp_path}/missing/deeper cgroup2 rw 0 0"))


def test_without_groups_processes_that_ended_still_count():
    # Some processor time, then a rest in which it can be looked at.
    spin = subprocess.Popen(["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 30"])
    alive = [spin.pid]
    busy_ns = busy_of(lambda: alive, 1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    try:
        deadline = time.monotonic() + 20
        while busy_ns() == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        before = busy_ns()
    finally:
        spin.kill()
        spin.wait(10)
    alive.clear()
    assert busy_ns() == before > 0


def test_a_real_group_counts_what_runs_in_it_and_goes_away():
    try:
        group = make_group(f"edgebench-test-{os.getpid()}")
    except NoGroups as error:
        pytest.skip(str(error))
    try:
        files = " ".join(str(procs) for procs in group.procs())
        script = f"for f in {files}; do echo 0 > $f; done; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
        subprocess.run(["sh", "-c", script], check=True, timeout=60)
        assert group.busy_ns() > 1_000_000
    finally:
        group.remove()
