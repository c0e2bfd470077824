"""What the remote shell is told, and its answer taken apart however it is cut."""

from __future__ import annotations

import itertools
import subprocess

from hypothesis import given
from hypothesis import strategies as st

from edgebench.transport.wrapped import Unwrapper, new_word, wrap

WORD = "edgebench-0123456789abcdef"


def answer(output: bytes, status: int = 0, *, before: bytes = b"", end: bytes = b"\n") -> bytes:
    return before + f"{WORD}-pid 4711".encode() + end + output + f"{WORD}-end {status}".encode() + end


def taken_apart(pieces: list[bytes]) -> tuple[Unwrapper, list[str]]:
    lines: list[str] = []
    reader = Unwrapper(WORD, lines.append)
    for piece in pieces:
        reader.feed(piece)
    reader.finish()
    return reader, lines


@given(st.binary(max_size=60), st.lists(st.integers(0, 160)), st.integers(0, 255), st.binary(max_size=10))
def test_the_cuts_make_no_difference(output, cuts, status, before):
    stream = answer(output, status, before=before)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader, lines = taken_apart([stream[a:b] for a, b in itertools.pairwise(places)])
    assert (reader.pid, reader.status) == (4711, status)
    assert reader.output == output.decode("utf-8", "replace")
    assert "\n".join(lines) == output.removesuffix(b"\n").decode("utf-8", "replace") or output == b"\n"


def test_a_line_is_told_before_the_next_byte_comes():
    lines: list[str] = []
    reader = Unwrapper(WORD, lines.append)
    reader.feed(f"{WORD}-pid 1\nready\nnot yet".encode())
    assert lines == ["ready"]


def test_the_beginning_of_the_mark_is_output_where_no_mark_follows():
    reader, lines = taken_apart([f"{WORD}-pid 1\n".encode(), WORD[:12].encode(), b"else\n", f"{WORD}-end 0\n".encode()])
    assert reader.output == f"{WORD[:12]}else\n"
    assert lines == [f"{WORD[:12]}else"]


def test_line_ends_of_a_terminal_do_not_hide_the_marks():
    reader, _ = taken_apart([answer(b"x\r\n", 7, end=b"\r\n")])
    assert (reader.pid, reader.status, reader.output) == (4711, 7, "x\r\n")


def test_without_an_end_there_is_no_status_but_all_the_output():
    reader, lines = taken_apart([f"{WORD}-pid 1\nhalf a li".encode()])
    assert (reader.status, reader.output, lines) == (None, "half a li", ["half a li"])


def test_a_status_cut_short_is_none():
    """A "1" that was to become "137" must not be taken for a status."""
    reader, _ = taken_apart([f"{WORD}-pid 1\n{WORD}-end 1".encode()])
    assert reader.status is None


def test_the_script_does_not_contain_its_own_marks():
    """``ps`` on the device prints the script: that must not end the command."""
    word = new_word()
    script = wrap(word, "ps -ef")
    assert f"{word}-end" not in script and f"{word}-pid" not in script and word in script


def test_dash_and_bash_both_tell_the_status_of_a_syntax_error():
    for shell in ("dash", "bash"):
        done = subprocess.run([shell, "-c", wrap(WORD, "if ; (")], capture_output=True, timeout=20, check=False)
        reader, _ = taken_apart([done.stdout])
        assert reader.status not in (None, 0), shell
        assert "yntax error" in reader.output
