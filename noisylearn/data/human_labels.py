"""Files of human label sets: found, read safely, and checked against the images they belong to.

The distributor of CIFAR-N publishes pickled NumPy arrays inside a PyTorch file. Unpickling such a file runs
whatever it asks for, and PyTorch's own safe mode refuses NumPy arrays; so the one pickle in it is read here by
an unpickler that knows how to build NumPy arrays and refuses everything else.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from noisylearn.data.root import missing_data

LabelSets = dict[str, npt.NDArray[np.int64]]

_LARGEST_PICKLE = 1 << 28  # bytes; the larger CIFAR-N file has 2.4 million


def read_human_labels(path: str | Path) -> LabelSets:
    """Read every label set of a file.

    Args:
        path: A ``.npz`` file of integer arrays, or a ``.pt`` file as ``torch.save`` writes it for a dict of
            NumPy arrays or lists of integers.

    Returns:
        Name of the label set -> ``(N,)`` int64.

    Raises:
        ValueError: The file is damaged, asks for anything but NumPy arrays, or holds something else than
            1-D integer arrays.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels.npz"
        >>> np.savez(path, clean_label=np.array([3, 1], dtype=np.uint8))
        >>> read_human_labels(path)
        {'clean_label': array([3, 1])}
    """
    path = Path(path)
    try:
        sets = _read_npz(path) if path.suffix == ".npz" else _read_torch(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"cannot read label sets from {path}: {error}; fetch the file again from its distributor"
        ) from error
    return {str(name): _as_labels(labels, str(name), path) for name, labels in sets.items()}


def _as_labels(labels: Any, name: str, path: Path) -> npt.NDArray[np.int64]:
    if isinstance(labels, list) and all(type(label) is int for label in labels):
        labels = np.array(labels, dtype=np.int64)  # CIFAR-100N's superclasses are lists
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        found = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise ValueError(f"label set {name!r} of {path} must be a 1-D integer array, got {found}")
    return labels.astype(np.int64)


def find_label_file(root: Path, name: str, files: tuple[str, ...]) -> Path:
    """Return the first of ``files`` in ``ROOT/cifar-n``.

    Args:
        root: The data root.
        name: The data set, for the message.
        files: File names, best first.

    Raises:
        MissingDataError: None of them is there.

    Example:
        >>> find_label_file(Path("nowhere"), "CIFAR-10N", ("cifar10n.npz",))
        Traceback (most recent call last):
        noisylearn.data.root.MissingDataError: CIFAR-10N: looked in nowhere/cifar-n for cifar10n.npz: ...
    """
    folder = root / "cifar-n"
    for file in files:
        if (folder / file).is_file():
            return folder / file
    how = "fetch CIFAR-10_human.pt or CIFAR-100_human.pt from https://github.com/UCSC-REAL/cifar-10-100n (folder data)"
    raise missing_data(name, folder, files, f"{how} and put it there", found="none of them is there")


def pick_labels(sets: LabelSets, path: Path, clean_set: str, noisy_set: str, expected: Tensor) -> Tensor:
    """Return a human label set after checking that the file is in the order of the images.

    Args:
        sets: What the file holds.
        path: The file, for the messages.
        clean_set: The label set that must equal ``expected``.
        noisy_set: The label set asked for.
        expected: ``(N,)`` int64, the data set's own labels.

    Returns:
        ``(N,)`` int64.

    Raises:
        ValueError: A label set is absent, or the clean one is not the data set's.

    Example:
        >>> sets = {"clean": np.array([1, 0]), "worse": np.array([1, 1])}
        >>> pick_labels(sets, Path("x.npz"), "clean", "worse", torch.tensor([1, 0]))
        tensor([1, 1])
        >>> pick_labels(sets, Path("x.npz"), "clean", "worse", torch.tensor([0, 1]))
        Traceback (most recent call last):
        ValueError: `clean` in x.npz must equal the data set's own labels, ...
    """
    for wanted in (clean_set, noisy_set):
        if wanted not in sets:
            raise ValueError(f"{path} must hold the label set {wanted!r}, got {', '.join(sorted(sets))}")
        if len(sets[wanted]) != len(expected):
            raise ValueError(f"`{wanted}` in {path} must hold {len(expected)} labels, got {len(sets[wanted])}")
    different = np.flatnonzero(sets[clean_set] != expected.numpy())
    if len(different):
        raise ValueError(
            f"`{clean_set}` in {path} must equal the data set's own labels, got {len(different)} that differ, the "
            f"first at {different[0]}: the file is in another order (the *_ordered.npy files are) or damaged"
        )
    return torch.from_numpy(sets[noisy_set])


def _read_npz(path: Path) -> dict[str, Any]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_torch(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        pickles = [entry for entry in archive.infolist() if entry.filename.rsplit("/", 1)[-1] == "data.pkl"]
        if len(pickles) != 1 or pickles[0].file_size > _LARGEST_PICKLE:
            raise ValueError("expected one data.pkl of at most 256 MiB inside")
        sets = _ArraysOnly(io.BytesIO(archive.read(pickles[0]))).load()
    if not isinstance(sets, dict):
        raise ValueError(f"expected a dict of arrays, got {type(sets).__name__}")
    return sets


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, by which protocol 2 writes an array's bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"array bytes must be latin1, got {encoding!r}")
    return text.encode("latin1")


def _allowed() -> dict[tuple[str, str], Any]:
    # NumPy's own functions, taken from what NumPy pickles: their module has moved once already.
    reconstruct, scalar = np.zeros(1).__reduce__()[0], np.int64(0).__reduce__()[0]
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):  # the second since NumPy 2
        allowed[core, "_reconstruct"] = reconstruct
        allowed[core, "scalar"] = scalar
    return allowed


class _ArraysOnly(pickle.Unpickler):
    """Builds NumPy arrays, dtypes and scalars; refuses every other name, and PyTorch's stored tensors."""

    _known = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the file asks for {module}.{name}; only NumPy arrays are read") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("the file holds a tensor; only NumPy arrays are read")
