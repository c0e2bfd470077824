from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from edgebench.catalog import resolve_model
from edgebench.errors import CacheTampered, EdgebenchError, ModelError, NoSpace, ParityFailed, UsageError
from edgebench.events import Event, StageStarted
from edgebench.export.pipeline import export_to, obtain
from edgebench.export.prepare import prepare_model
from edgebench.export.reference import make_inputs, read_tensor
from edgebench.files import cache_root
from edgebench.records import Artifact
from edgebench.records.codec import decode
from tests.export.conftest import Bench, Made
from tests.export.networks import SIDE

# Fails at the first import of PyTorch, and prints what it was asked to obtain.
WITHOUT_TORCH = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "pnnx", "onnxscript"):
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Blocker())
from edgebench.catalog import resolve_model
from edgebench.export.pipeline import obtain
print(obtain(resolve_model(sys.argv[1])[0], format=sys.argv[2])[0].key)
"""


def factory(name: str) -> object:
    return resolve_model(f"tests.export.networks:{name}")[0]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_artifact_says_what_it_is(residual: Callable[[str], Made]) -> None:
    artifact, folder = residual("onnx")

    assert artifact.model.source == "tests.export.networks:residual"
    # Three 3x3 and one 1x1 convolution with their BatchNorms, and the head.
    assert artifact.model.params == 8 * 27 + 2 * 8 * 72 + 64 + 4 * 16 + 45
    assert artifact.model.macs == SIDE**2 * (8 * 27 + 2 * 8 * 72 + 64) + 40
    assert artifact.weights.kind == "random"
    assert artifact.inputs[0].shape == (1, 3, SIDE, SIDE)
    assert artifact.outputs[0].shape == (1, 5)
    assert artifact.fidelity.checks[0].step == "fuse"
    assert artifact.fidelity.checks[0].error_relative <= 1e-10
    assert artifact.tools["torch"] == metadata.version("torch")
    assert decode(Artifact, (folder / "artifact.json").read_bytes(), path="artifact.json") == artifact


def test_stored_references_are_what_the_stored_program_computes(residual: Callable[[str], Made]) -> None:
    artifact, folder = residual("torch")
    program = torch.load(folder / "model.pt", weights_only=False)

    assert not any(part.training for part in program.modules())
    assert (
        len(
            {read_tensor(folder / row[0], (1, 3, SIDE, SIDE), "float32").tobytes() for row in artifact.reference_inputs}
        )
        == 3
    )
    for given, expected in zip(artifact.reference_inputs, artifact.reference_outputs, strict=True):
        x = torch.from_numpy(read_tensor(folder / given[0], artifact.inputs[0].shape, "float32"))
        with torch.no_grad():
            got = program(x).numpy()
        np.testing.assert_allclose(got, read_tensor(folder / expected[0], (1, 5), "float32"), rtol=1e-5, atol=1e-6)


def test_every_format_of_a_model_has_the_same_references(residual: Callable[[str], Made]) -> None:
    contents = []
    for name in ("onnx", "ncnn", "torch"):
        artifact, folder = residual(name)
        files = [file for row in (*artifact.reference_inputs, *artifact.reference_outputs) for file in row]
        contents.append([(folder / file).read_bytes() for file in files])
    assert contents[0] == contents[1] == contents[2]


def test_several_formats_build_the_model_once(own_cache: Path) -> None:
    prepare_model.cache_clear()
    events: list[Event] = []
    for name in ("torch", "ncnn"):
        obtain(factory("residual"), format=name, input_size=(SIDE,), emit=events.append)

    stages = [event.stage for event in events if isinstance(event, StageStarted)]
    assert stages == ["build", "fuse", "export torch", "export ncnn"]


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("still_training", ModelError, "stay in training mode.*: 1"),
        ("not_a_number", ModelError, r"NaN or infinity, first in module left\.conv"),
    ],
)
def test_a_network_that_is_not_fit_is_refused_with_the_module_named(
    own_cache: Path, name: str, error: type[EdgebenchError], text: str
) -> None:
    with pytest.raises(error, match=text):
        obtain(factory(name), format="torch", input_size=(SIDE,))
    assert not list(own_cache.rglob("*.pt"))


def test_a_wrong_fusion_fails_its_parity_and_names_the_module(own_cache: Path) -> None:
    with pytest.raises(ParityFailed, match="fusing changed") as failure:
        obtain(factory("badly_fused"), format="torch", input_size=(SIDE,))
    assert failure.value.step == "fuse"
    assert failure.value.module is not None
    assert failure.value.module.startswith("1")


def test_a_batch_replaces_the_first_dimension_everywhere(own_cache: Path, bench: Bench) -> None:
    made = obtain(factory("residual"), format="onnx", input_size=(SIDE,), batch=2)

    assert made[0].inputs[0].shape == (2, 3, SIDE, SIDE)
    assert made[0].outputs[0].shape == (2, 5)
    assert bench.prove(made, "onnxruntime").checks[-1].passed
    with pytest.raises(UsageError, match="batch"):
        obtain(factory("residual"), format="ncnn", input_size=(SIDE,), batch=2)


@pytest.mark.slow
def test_two_inputs_reach_every_runtime_in_their_order(bench: Bench) -> None:
    head = resolve_model("nanotrack_v1_head")[0]
    for name, runtime in (("onnx", "onnxruntime"), ("ncnn", "ncnn")):
        made = obtain(head, format=name)
        assert len(made[0].inputs) == 2
        assert bench.prove(made, runtime).checks[-1].passed


@pytest.mark.parametrize("format_name", ["onnx", "torch"])
def test_a_second_run_of_a_catalogue_model_imports_no_torch(format_name: str) -> None:
    artifact, _ = obtain(resolve_model("lenet5")[0], format=format_name)

    command = [sys.executable, "-c", WITHOUT_TORCH, "lenet5", format_name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == artifact.key, done.stderr


def test_a_tampered_artifact_is_refused_and_rebuilding_mends_it(own_cache: Path) -> None:
    model = factory("residual")
    artifact, folder = obtain(model, format="torch", input_size=(SIDE,))
    (folder / "model.pt").write_bytes(b"something else")

    with pytest.raises(CacheTampered, match=r"model\.pt"):
        obtain(model, format="torch", input_size=(SIDE,))
    again = obtain(model, format="torch", input_size=(SIDE,), rebuild=True)
    assert again[0].key == artifact.key
    assert obtain(model, format="torch", input_size=(SIDE,)) == again


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """``helper(expression)`` writes a user's module whose network computes it, and gives the key of its artifact."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def key_of(expression: str) -> str:
        text = "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n"
        text += "        super().__init__()\n        self.conv = nn.Conv2d(3, 4, 1)\n\n"
        text += f"    def forward(self, x):\n        x = self.conv(x)\n        return {expression}\n"
        (tmp_path / "users_own.py").write_text(text)
        sys.modules.pop("users_own", None)
        prepare_model.cache_clear()
        return obtain(resolve_model("users_own:Net")[0], format="torch", input_size=(8,))[0].key

    yield key_of
    sys.modules.pop("users_own", None)


def test_an_edited_helper_never_yields_the_stale_artifact(helper: Callable[[str], str]) -> None:
    expressions = ["x * 2", "x * 3", "x + torch.tensor([1.0])", "x + torch.tensor([2.0])"]
    keys = [helper(expression) for expression in expressions]

    assert len(set(keys)) == 4
    assert helper("x * 2") == keys[0]


def test_a_users_own_class_is_found_by_the_torch_runtime(tmp_path: Path) -> None:
    text = (
        "from torch import nn\n\n\nclass Net(nn.Conv2d):\n    def __init__(self):\n        super().__init__(3, 4, 1)\n"
    )
    (tmp_path / "found_in_folder.py").write_text(text)
    script = """
from edgebench.catalog import resolve_model
from edgebench.export.pipeline import obtain
from tests.export.conftest import make_bench
made = obtain(resolve_model("found_in_folder:Net")[0], format="torch", input_size=(8,))
print(make_bench().prove(made, "torch").checks[-1].passed)
"""
    # As the installed command does: without the current folder on the path, though ours is there for the bench above.
    environment = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "True", done.stderr


def test_a_checkpoint_takes_the_place_of_random_weights(own_cache: Path, tmp_path: Path, bench: Bench) -> None:
    from tests.export.networks import Residual

    torch.manual_seed(7)
    torch.save(Residual().state_dict(), tmp_path / "trained.pth")
    random = obtain(factory("residual"), format="onnx", input_size=(SIDE,))
    loaded = obtain(factory("residual"), format="onnx", input_size=(SIDE,), weights=tmp_path / "trained.pth")

    assert loaded[0].weights.kind == "checkpoint"
    assert loaded[0].key != random[0].key
    assert bench.prove(loaded, "onnxruntime").checks[-1].passed


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"format": "coreml"}, "no format"),
        ({"format": "onnx", "precision": "fp8"}, "no precision"),
        ({"format": "onnx", "batch": 0}, "batch of 0"),
        ({"format": "torch", "precision": "fp16"}, "fp32 alone"),
    ],
)
def test_flags_that_do_not_go_together_are_usage_errors(flags: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        obtain(factory("residual"), **flags)  # type: ignore[arg-type]


def test_missing_weights_are_said_before_anything_is_built(own_cache: Path) -> None:
    with pytest.raises(ModelError, match="no weights file"):
        obtain(resolve_model("lenet5")[0], format="onnx", weights=Path("nowhere.pth"))
    assert not own_cache.exists()


def test_exporting_to_a_folder_copies_every_file_and_replaces_an_artifact_but_nothing_else(
    residual: Callable[[str], Made], tmp_path: Path
) -> None:
    artifact, folder = residual("onnx")
    for _ in range(2):
        out = export_to(tmp_path, artifact, folder)
        assert sorted(path.name for path in out.iterdir()) == sorted(
            ["artifact.json", *(file.path for file in artifact.files)]
        )
        assert [path.name for path in tmp_path.iterdir()] == [out.name]
    (out / "artifact.json").unlink()
    with pytest.raises(UsageError, match="holds no artifact"):
        export_to(tmp_path, artifact, folder)


def test_an_exported_folder_is_a_model_of_its_own_format(residual: Callable[[str], Made], tmp_path: Path) -> None:
    artifact, folder = residual("onnx")
    out = export_to(tmp_path, artifact, folder)
    model = resolve_model(str(out))[0]
    assert (model.kind, model.format, model.name) == ("artifact", "onnx", artifact.model.name)
    assert obtain(model, format="onnx") == (artifact, folder), "the cache made the very same"
    with pytest.raises(UsageError, match="is an onnx artifact; it cannot become ncnn"):
        obtain(model, format="ncnn")
    with pytest.raises(UsageError, match="has the input size that it has"):
        obtain(model, format="onnx", input_size=(64,))
    (out / artifact.files[0].path).write_bytes(b"something else")
    with pytest.raises(CacheTampered):
        obtain(model, format="onnx")


def test_a_disk_that_fills_up_while_converting_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "tiny"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        monkeypatch.setenv("EDGEBENCH_CACHE", str(disk))
        for name in ("onnx", "ncnn", "torch"):
            with pytest.raises(NoSpace):
                obtain(factory("residual"), format=name, input_size=(SIDE,))
        assert [path for path in disk.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", str(disk)], capture_output=True, timeout=10, check=True)


def test_reference_inputs_are_the_same_in_every_process(residual: Callable[[str], Made]) -> None:
    artifact, folder = residual("onnx")
    stored = [(folder / row[0]).read_bytes() for row in artifact.reference_inputs]

    assert stored == [batch[0].tobytes() for batch in make_inputs(artifact.inputs)]
    assert cache_root() in folder.parents
