"""The agent runs as it is on a board with Python 3.8 and nothing of edgebench but itself."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import edgebench.agent

FILES = sorted(Path(edgebench.agent.__file__).parent.rglob("*.py"))
RUNTIMES = {"numpy", "onnxruntime", "ncnn", "torch", "tensorrt"}
# Every name that the agent takes from the standard library, each looked up in the documentation of Python 3.8. A name
# that is not here fails the test: look it up ("New in version"), then add it.
IN_PYTHON_3_8 = {
    "__future__": {"annotations"},
    "contextlib": {"contextmanager", "suppress"},
    "ctypes": {
        "CDLL", "POINTER", "byref", "c_char", "c_char_p", "c_float", "c_int", "c_int64", "c_size_t", "c_uint", "c_void_p",
    },
    "functools": {"partial"},
    "gc": {"collect", "disable", "enable"},
    "glob": {"glob"},
    "importlib": {"import_module"},
    "json": {"dumps", "load", "loads"},
    "os": {
        "O_APPEND", "O_CREAT", "O_TRUNC", "O_WRONLY", "WEXITSTATUS", "WIFSIGNALED", "WNOHANG", "WTERMSIG", "_exit", "close",
        "dup", "dup2", "environ", "fsync", "getpid", "getppid", "kill", "listdir", "open", "path", "remove", "replace",
        "sched_getaffinity", "sched_setaffinity", "sysconf", "wait4", "write",
    },
    "pickle": {"UnpicklingError"},
    "platform": {"machine", "python_version", "release", "system"},
    "re": {"compile"},
    "resource": {"RUSAGE_SELF", "getrusage"},
    "signal": {"ITIMER_REAL", "SIGALRM", "SIGKILL", "SIGTERM", "SIG_DFL", "setitimer", "signal"},
    "statistics": {"fmean", "median"},
    "subprocess": {"DEVNULL", "Popen", "STDOUT", "SubprocessError"},
    "sys": {"argv", "byteorder", "exit", "path", "stderr"},
    "tempfile": {"TemporaryFile"},
    "threading": {"Lock", "Thread"},
    "time": {"CLOCK_BOOTTIME", "clock_gettime_ns", "monotonic_ns", "process_time_ns", "sleep"},
    "typing": {
        "Any", "Callable", "ContextManager", "Dict", "Iterator", "List", "NamedTuple", "NoReturn", "Optional", "Protocol",
        "Sequence", "Tuple", "Union",
    },
}  # fmt: skip
# Methods of built-in types that came later, and generics that cannot be subscripted before 3.9.
LATER_METHODS = {"removeprefix", "removesuffix", "bit_count"}
LATER_GENERICS = {"dict", "list", "tuple", "set", "frozenset", "type"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_parses_as_python_3_8(path):
    tree(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_imports_the_standard_library_its_runtime_and_itself_only(path):
    depth = len(path.relative_to(FILES[0].parent).parts)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level <= depth, "a relative import must not leave the agent"
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert top in IN_PYTHON_3_8 or top in RUNTIMES, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_name_of_the_standard_library_exists_in_python_3_8(path):
    parsed = tree(path)
    modules = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(parsed)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in sys.stdlib_module_names
    }
    for node in ast.walk(parsed):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in sys.stdlib_module_names:
            assert {alias.name for alias in node.names} <= IN_PYTHON_3_8[str(node.module)]
        if isinstance(node, ast.Attribute):
            assert node.attr not in LATER_METHODS
            if isinstance(node.value, ast.Name) and node.value.id in modules:
                assert node.attr in IN_PYTHON_3_8[modules[node.value.id]], f"{node.value.id}.{node.attr}"
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            assert node.value.id not in LATER_GENERICS
