"""Reading label files: arrays come back, anything else is refused and nothing is run."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noisylearn.data import MissingDataError, read_human_labels
from noisylearn.data.human_labels import find_label_file, pick_labels

LABELS = {"clean_label": np.array([3, 1, 2], dtype=np.int64), "worse_label": np.array([3, 0, 2], dtype=np.int64)}


def write_pt(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])  # `torch.save` writes 2
def test_arrays_of_the_pickle_protocols(tmp_path: Path, protocol: int) -> None:
    path = write_pt(tmp_path / "labels.pt", pickle.dumps(LABELS, protocol=protocol))
    read = read_human_labels(path)
    assert read.keys() == LABELS.keys()
    assert all(np.array_equal(read[name], LABELS[name]) for name in LABELS)
    assert all(read[name].dtype == np.int64 for name in LABELS)


def test_what_torch_save_writes(tmp_path: Path) -> None:
    torch.save(LABELS, tmp_path / "labels.pt")
    assert np.array_equal(read_human_labels(tmp_path / "labels.pt")["worse_label"], LABELS["worse_label"])


def test_scalars_are_admitted_but_are_no_label_set(tmp_path: Path) -> None:
    path = write_pt(tmp_path / "labels.pt", pickle.dumps({"seed": np.int64(3), **LABELS}))
    with pytest.raises(ValueError, match=r"label set 'seed' .* must be a 1-D integer array"):
        read_human_labels(path)


class Malicious:
    """Runs a call of its choice when it is unpickled."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call[0], self.call[1:]


def touch(path: str) -> None:
    Path(path).touch()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"clean_label": bad}, lambda bad: np.array([bad, 1])])
def test_a_malicious_pickle_is_refused_before_it_runs(tmp_path: Path, wrap: Any, protocol: int) -> None:
    trace = tmp_path / "it_ran"
    for call in ((touch, str(trace)), (exec, f"open({str(trace)!r}, 'w')"), (eval, "1"), (getattr, "", "format")):
        bad = pickle.dumps(wrap(Malicious(*call)), protocol=protocol)
        with pytest.raises(ValueError, match="only NumPy arrays are read"):
            read_human_labels(write_pt(tmp_path / "labels.pt", bad))
        assert not trace.exists()
    pickle.loads(pickle.dumps(Malicious(touch, str(trace))))  # the attack itself works
    assert trace.exists()


def test_attribute_paths_into_numpy_are_refused(tmp_path: Path) -> None:
    # Protocol 4 names may be dotted: `numpy.ndarray.tofile` is not `numpy.ndarray`.
    for module, name in (("numpy", "ndarray.tofile"), ("numpy", "load"), ("numpy", "fromfile"), ("os", "system")):
        text = [value.encode() for value in (module, name)]
        pickled = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(t)]) + t for t in text) + b"\x93."
        with pytest.raises(ValueError, match=f"asks for {module}.{name}"):
            read_human_labels(write_pt(tmp_path / "labels.pt", pickled))


def test_only_latin1_bytes(tmp_path: Path) -> None:
    pickled = pickle.dumps(Malicious(__import__("codecs").encode, "abc", "rot13"), protocol=2)
    with pytest.raises(ValueError, match="array bytes must be latin1, got 'rot13'"):
        read_human_labels(write_pt(tmp_path / "labels.pt", pickled))


def test_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"clean_label": torch.zeros(3)}, tmp_path / "labels.pt")
    with pytest.raises(ValueError, match="only NumPy arrays are read"):
        read_human_labels(tmp_path / "labels.pt")


def test_pickled_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "labels.npz", clean_label=np.array([Malicious(print)], dtype=object))
    with pytest.raises(ValueError, match=r"cannot read label sets .*allow_pickle=False"):
        read_human_labels(tmp_path / "labels.npz")


def damaged() -> list[bytes]:
    good = io.BytesIO()
    np.savez(good, clean_label=np.arange(100))
    return [b"", b"not a zip", good.getvalue()[:200]]


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
@pytest.mark.parametrize("content", damaged())
def test_damaged_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read label sets from .*fetch the file again"):
        read_human_labels(path)


@pytest.mark.parametrize("wrong", [np.zeros((2, 2), dtype=int), np.zeros(3), np.array(["a"])])
def test_other_arrays(tmp_path: Path, wrong: np.ndarray) -> None:
    np.savez(tmp_path / "labels.npz", clean_label=wrong)
    with pytest.raises(ValueError, match="must be a 1-D integer array"):
        read_human_labels(tmp_path / "labels.npz")


def test_lists_of_integers_are_read_and_other_lists_are_not(tmp_path: Path) -> None:
    path = write_pt(tmp_path / "labels.pt", pickle.dumps({"coarse": [4, 0, 2]}, protocol=2))
    assert read_human_labels(path)["coarse"].tolist() == [4, 0, 2]
    for wrong in ([0.5], [[1], [2, 3]], ["a"], [True]):
        write_pt(path, pickle.dumps({"coarse": wrong}, protocol=2))
        with pytest.raises(ValueError, match=r"label set 'coarse' .* must be a 1-D integer array, got list"):
            read_human_labels(path)


def test_not_a_dict(tmp_path: Path) -> None:
    path = write_pt(tmp_path / "labels.pt", pickle.dumps(np.arange(3)))
    with pytest.raises(ValueError, match="expected a dict of arrays, got ndarray"):
        read_human_labels(path)


def test_labels_are_matched_with_the_data_set() -> None:
    path, clean = Path("labels.npz"), torch.tensor([3, 1, 2])
    picked = pick_labels(LABELS, path, "clean_label", "worse_label", clean)
    assert picked.tolist() == [3, 0, 2]
    with pytest.raises(ValueError, match=r"must equal the data set's own labels, got 2 that differ, the first at 1"):
        pick_labels(LABELS, path, "clean_label", "worse_label", torch.tensor([3, 2, 1]))
    with pytest.raises(ValueError, match=r"must hold the label set 'aggre_label', got clean_label, worse_label"):
        pick_labels(LABELS, path, "clean_label", "aggre_label", clean)
    with pytest.raises(ValueError, match=r"`clean_label` in labels.npz must hold 2 labels, got 3"):
        pick_labels(LABELS, path, "clean_label", "worse_label", clean[:2])


def test_finding_the_file(tmp_path: Path) -> None:
    files = ("cifar10n.npz", "CIFAR-10_human.pt")
    with pytest.raises(MissingDataError, match=r"CIFAR-10N: looked in .*cifar-n for cifar10n.npz, CIFAR-10_human.pt"):
        find_label_file(tmp_path, "CIFAR-10N", files)
    (tmp_path / "cifar-n").mkdir()
    (tmp_path / "cifar-n" / files[1]).touch()
    assert find_label_file(tmp_path, "CIFAR-10N", files).name == files[1]
    (tmp_path / "cifar-n" / files[0]).touch()
    assert find_label_file(tmp_path, "CIFAR-10N", files).name == files[0]
