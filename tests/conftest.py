"""What every test stands on: folders of its own instead of the user's, and one thread."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from edgebench.files import cache_root

# A busy machine must not fail a test that is about values.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

# Before anything imports numpy or torch: the machine is shared, and these tests are about results, not speed.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# ncnn and the harness take minutes to build and are cached by their content: tests share them with the user.
BUILT = cache_root()
SHARED = ("ncnn", "harness")
# The property of a skipped test's report that names a file in which that was decided.
DECIDED_IN = "decided in"
# Where a machine lacks the right to have a virtual phone, or an emulator or a compiler for another processor, these skip; in
# root's CI, which installs them all, none may, or nobody would notice it.
NEVER_SKIPPED = ("/tests/virtual_phone/", "/tests/cli/phone_desk.py", "/tests/android_harness/test_other_processors.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Notes with a skipped test where that was decided: of a skip in a fixture pytest tells the test's own place alone."""
    report = yield
    if report.skipped and call.excinfo is not None:
        report.user_properties += [(DECIDED_IN, str(entry.path)) for entry in call.excinfo.traceback]
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a session of CI (EDGEBENCH_CI) in which a test with a virtual phone, or for another processor, was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    every = reporter.stats.get("skipped", []) if reporter else []
    # By where it was decided: what a way to a device cannot do by its nature is skipped elsewhere.
    skipped = [each for each in every if any(place in where for place in NEVER_SKIPPED for where in _places(each))]
    if skipped and os.environ.get("EDGEBENCH_CI") and os.geteuid() == 0:
        what = "tests with a virtual phone or for another processor"
        reporter.write_line(f"{len(skipped)} {what} were skipped: in CI none may be", red=True)
        # Not as failed tests end: make has those run once more, alone.
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def _places(skipped: pytest.TestReport) -> list[str]:
    """Every file that had a part in a skip; of one while tests were collected, that file."""
    decided = [str(value) for name, value in getattr(skipped, "user_properties", ()) if name == DECIDED_IN]
    return [str(skipped.longrepr[0]) if isinstance(skipped.longrepr, tuple) else "", *decided]


@pytest.fixture(scope="session", autouse=True)
def _never_the_users_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cache and state of the whole session lie in a folder of its own; nothing of the user's environment leaks in."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "cache").mkdir()
    for name in SHARED:
        (BUILT / name).mkdir(parents=True, exist_ok=True)
        (folder / "cache" / name).symlink_to(BUILT / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEBENCH_CACHE", str(folder / "cache"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "xdg-cache"))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", "120")
        for name in ("EDGEBENCH_MODELS", "EDGEBENCH_TARGETS", "FORCE_COLOR", "PYTHONPATH"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_started_here_is_deaf_to_signals() -> None:
    """Under nohup, or in a shell's background, signals are ignored, and so they would be by every process that tests start.

    A handler, even one that does nothing, is not inherited: what is started has the signal's default again.
    """
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
