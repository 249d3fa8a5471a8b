"""Arrays out of HDF5 and zip files of strangers: what lies in the file itself, of the size that it takes there.

HDF5 can point to other files (external links, external storage, virtual datasets), run filters, and state shapes that
nothing is stored of; a zip can hold far more than its size. None of this is followed: a path is walked link by link,
and a dataset is read only where its bytes are all there.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import MissingDependency, ModelFileError, shortened
from statecast.model.container import require_finite

if TYPE_CHECKING:
    import h5py

MOST_MEMBERS = 10_000  # of a zip, or of a group
LARGEST_TEXT = 8 << 20  # bytes of a zip's member that is text
LARGEST_WEIGHTS = 2 << 30
RATIO = 100  # how many times its size in a zip a member may take
SIGNATURE = b"\x89HDF\r\n\x1a\n"


@contextmanager
def opened(source: Path | bytes, origin: str) -> Iterator[h5py.File]:
    """An HDF5 file, or the bytes of one.

    Raises:
        ModelFileError: it is none, or damaged.
        MissingDependency: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingDependency.of("h5py", "keras", "reading weights of Keras") from error
    try:
        if isinstance(source, Path) and not source.is_file():
            raise ModelFileError(f"there is no file {origin}: give a .keras or .weights.h5 file")
        with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
            yield file
    # What a damaged file makes h5py raise depends on where it is damaged.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{origin} is truncated, damaged or not an HDF5 file: {error}") from error


def group(parent: h5py.Group, path: str, origin: str) -> h5py.Group | None:
    """A group below another one, by way of links within the file alone; None where there is none.

    Raises:
        ModelFileError: a link leads elsewhere, or to something else.
    """
    import h5py

    for name in path.split("/"):
        member = _member(parent, name, origin)
        if member is None:
            return None
        if not isinstance(member, h5py.Group):
            raise ModelFileError(f"{origin}: {shortened(f'{parent.name}/{name}')} is not a group")
        parent = member
    return parent


def _member(parent: h5py.Group, name: str, origin: str) -> Any:
    import h5py

    link = parent.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise ModelFileError(
            f"{origin}: {shortened(f'{parent.name}/{name}')} is a link to elsewhere: it is not followed"
        )
    return parent[name]


def names(of: h5py.Group, origin: str) -> list[str]:
    """The names in a group."""
    if len(of) > MOST_MEMBERS:
        raise ModelFileError(f"{origin}: {shortened(of.name)} has {len(of):,} members, more than {MOST_MEMBERS:,}")
    return sorted(of)


def arrays(of: h5py.Group, origin: str) -> list[np.ndarray]:
    """The datasets "0", "1", … of a group.

    Raises:
        ModelFileError: it holds others, or one of them is not an array of floats that lies in the file.
    """
    listed = names(of, origin)
    if sorted(listed) != sorted(str(n) for n in range(len(listed))):
        raise ModelFileError(f"{origin}: {shortened(of.name)} holds {shortened(listed)}, expected 0, 1, …")
    return [_read(_member(of, str(n), origin), f"{of.name}/{n}", origin) for n in range(len(listed))]


def _read(dataset: Any, name: str, origin: str) -> np.ndarray:
    import h5py

    place = f"{origin}: {shortened(name)}"
    if not isinstance(dataset, h5py.Dataset):
        raise ModelFileError(f"{place} is not an array")
    if dataset.is_virtual or dataset.external:
        raise ModelFileError(f"{place} lies in another file: it is not followed")
    if dataset.dtype.kind != "f" or dataset.dtype.itemsize > 8 or dataset.ndim > 2:
        raise ModelFileError(f"{place} is {dataset.dtype} {list(dataset.shape)}: expected one or two axes of floats")
    plain = dataset.id.get_create_plist().get_nfilters() == 0
    if not plain or dataset.nbytes > LARGEST_WEIGHTS or dataset.id.get_storage_size() < dataset.nbytes:
        raise ModelFileError(
            f"{place} states {dataset.nbytes:,} bytes, and {dataset.id.get_storage_size():,} are stored: expected "
            "arrays as Keras writes them, whole and not compressed"
        )
    return np.asarray(dataset[()])


def zipped(path: Path, text: str, weights: str) -> tuple[str, bytes]:
    """One member of a zip as text, and the bytes of another.

    Raises:
        ModelFileError: it is not a zip, lacks one of them, or one takes far more than its size in the zip.
    """
    require_finite(path)
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            if len(listed) > MOST_MEMBERS:
                raise ModelFileError(f"{path} has {len(listed):,} members, more than {MOST_MEMBERS:,}")
            document = _unzipped(archive, path, text, LARGEST_TEXT).decode()
            content = _unzipped(archive, path, weights, LARGEST_WEIGHTS)
    except FileNotFoundError as error:
        raise ModelFileError(f"there is no file {path}: give a .keras or .weights.h5 file") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path} is truncated, damaged or not a .keras file: {error}") from error
    if not content.startswith(SIGNATURE):
        raise ModelFileError(f"{path}: {weights} is not an HDF5 file")
    return document, content


def _unzipped(archive: zipfile.ZipFile, path: Path, name: str, most: int) -> bytes:
    members = [member for member in archive.infolist() if member.filename == name]
    if len(members) != 1:
        raise ModelFileError(f"{path} has {len(members)} members {name!r}, expected one: save the model with Keras 3")
    member = members[0]
    if member.file_size > min(most, RATIO * member.compress_size + 1024):
        raise ModelFileError(
            f"{path}: {name} states {member.file_size:,} bytes in {member.compress_size:,} of the file, and is not "
            "unpacked: save the model again"
        )
    # Of a member that is longer than it states, no more than that is unpacked.
    return archive.read(member)
