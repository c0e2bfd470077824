"""What every test stands on: folders of its own instead of the user's, and one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator

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
# Where a machine lacks the right to have a virtual phone these skip; in root's CI none may, or nobody would notice it.
PHONES = ("/tests/virtual_phone/", "/tests/cli/phone_desk.py")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a session of CI (EDGEBENCH_CI) in which a test with a virtual phone was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    every = reporter.stats.get("skipped", []) if reporter else []
    # By where it was decided: what a way to a device cannot do by its nature is skipped elsewhere.
    skipped = [each for each in every if any(place in str(each.longrepr[0]) for place in PHONES)]
    if skipped and os.environ.get("EDGEBENCH_CI") and os.geteuid() == 0:
        reporter.write_line(f"{len(skipped)} tests with a virtual phone were skipped: in CI none may be", red=True)
        # Not as failed tests end: make has those run once more, alone.
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


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
