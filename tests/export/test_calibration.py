from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebench.errors import ModelError
from edgebench.export.calibration import open_calibration
from edgebench.records import TensorSpec

IMAGE = TensorSpec(name="image", shape=(2, 3, 4, 4))
PAIR = (TensorSpec(name="z", shape=(1, 2)), TensorSpec(name="x", shape=(1, 3)))


def sample(value: float, count: int | None = None) -> np.ndarray:
    """Every element is ``value``; of ``count`` samples the second has one more, and so on."""
    shape = (3, 4, 4) if count is None else (count, 3, 4, 4)
    added = 0 if count is None else np.arange(count).reshape(-1, 1, 1, 1)
    return (np.full(shape, value) + added).astype(np.float32)


def firsts(folder: Path, spec: TensorSpec = IMAGE) -> list[list[float]]:
    """The first element of each sample, batch by batch."""
    return [[float(each.ravel()[0]) for each in batch] for [batch] in open_calibration(folder).batches((spec,))]


def test_samples_of_all_files_are_put_together_to_batches_in_the_order_of_the_names(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", sample(5, 3))
    np.save(tmp_path / "a.npy", sample(1))
    np.savez(tmp_path / "c.npz", image=sample(9).astype(np.float64))
    (tmp_path / "readme.txt").write_text("not a sample")
    assert firsts(tmp_path) == [[1, 5], [6, 7], [9, 9]], "the last batch is filled up with its own"
    [first, *_] = open_calibration(tmp_path).batches((IMAGE,))
    assert first[0].shape == IMAGE.shape and first[0].dtype == np.float32
    assert open_calibration(tmp_path).count((IMAGE,)) == 5


def test_one_file_is_a_set_too(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", sample(1, 4))
    assert firsts(tmp_path / "all.npy") == [[1, 2], [3, 4]]


def test_several_inputs_are_arrays_of_one_file_by_their_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", x=np.ones((2, 3), np.float32), z=np.zeros((2, 2), np.float32))
    batches = list(open_calibration(tmp_path).batches(PAIR))
    assert [[array.shape for array in batch] for batch in batches] == [[(1, 2), (1, 3)]] * 2
    assert batches[0][0].max() == 0 and batches[0][1].min() == 1


@pytest.mark.parametrize(("count", "expected"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (9, [1, 5, 9])])
def test_examples_are_from_all_over_the_set(tmp_path: Path, count: int, expected: list[float]) -> None:
    np.save(tmp_path / "all.npy", sample(1, count))
    one = TensorSpec(name="image", shape=(1, 3, 4, 4))
    assert [float(batch.ravel()[0]) for [batch] in open_calibration(tmp_path).examples((one,))] == expected


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample(1))
    before = open_calibration(tmp_path).sha256
    assert open_calibration(tmp_path / "a.npy").sha256 == before
    np.save(tmp_path / "a.npy", sample(2))
    assert open_calibration(tmp_path).sha256 != before


WRONG = {
    "shape": (sample(1)[:, :3], "the shape [3, 3, 4] for image, of which one sample has [3, 4, 4]"),
    "none": (sample(1, 0), "the shape [0, 3, 4, 4]"),
    "pixels": (sample(1).astype(np.uint8), "holds uint8 for image, which takes float32"),
    "nan": (sample(float("nan")), "NaN or infinity for image"),
    "too large": (sample(1).astype(np.float64) * 1e300, "NaN or infinity for image"),
    "objects": (np.array([{"a": 1}]), "cannot be read as numpy's"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("kind", WRONG)
def test_a_sample_that_does_not_fit_is_named_with_what_belongs_there(kind: str, tmp_path: Path) -> None:
    array, text = WRONG[kind]
    np.save(tmp_path / "1.npy", array)
    with pytest.raises(ModelError) as caught:
        firsts(tmp_path)
    assert text in caught.value.message and str(tmp_path / "1.npy") in caught.value.message


@pytest.mark.parametrize("name", ["1.npy", "1.npz"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04 cut short", b"nothing of numpy's"])
def test_a_damaged_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} cannot be read as numpy's"):
        firsts(tmp_path)


def test_a_compressed_file_with_a_flipped_bit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "1.npz"
    np.savez_compressed(path, image=np.random.default_rng(0).standard_normal((3, 4, 4), dtype=np.float32))
    data = bytearray(path.read_bytes())
    data[120] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"1\.npz cannot be read as numpy's"):
        firsts(tmp_path)


def test_a_set_that_changes_under_way_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample(1))
    opened = open_calibration(tmp_path)
    opened.require_unchanged()
    np.save(tmp_path / "a.npy", sample(2))
    with pytest.raises(ModelError, match="was changed while it was read"):
        opened.require_unchanged()


def test_inputs_that_are_missing_or_unlike_in_number_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", x=np.ones((1, 3), np.float32))
    with pytest.raises(ModelError, match="holds x; the inputs are z, x"):
        list(open_calibration(tmp_path).batches(PAIR))
    np.savez(tmp_path / "1.npz", x=np.ones((3, 3), np.float32), z=np.ones((2, 2), np.float32))
    with pytest.raises(ModelError, match=r"unlike numbers of samples for its inputs: \[2, 3\]"):
        list(open_calibration(tmp_path).batches(PAIR))


def test_a_folder_of_pictures_is_told_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"\xff\xd8")
    for place in (tmp_path, tmp_path / "cat.jpg", tmp_path / "nowhere"):
        with pytest.raises(ModelError, match="holds no calibration set") as caught:
            open_calibration(place)
        assert "resized and normalised" in caught.value.hint
