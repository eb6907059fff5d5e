"""From what a vendor hands over to its data files: nothing is decoded here.

A delivery is a directory (a Databento batch download, or any folder of data files), a batch .zip, or one file. Whether
a file is data, its name says to the kinds of file that are known. Nothing here is of one vendor but the manifest of a
batch, beside which files of other kinds may lie.
"""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from shutil import disk_usage

from cbi_dagster.vendors.files import AGAIN, DeliveredFile, UnreadableFileError, shown
from cbi_dagster.vendors.kinds import Kind
from cbi_dagster.vendors.scratch import scratch_directory

MAX_ZIP_BYTES = 64 * 2**30
MAX_ZIP_MEMBERS = 100_000
MAX_ZIP_DEPTH = 3

_MANIFEST = "manifest.json"
_SYMBOLOGY = "symbology.json"
#: What the vendor says beside its data; a delivery may have been copied without them.
_VENDOR_NOTES = {_MANIFEST, "metadata.json", _SYMBOLOGY, "condition.json"}


@dataclass(frozen=True)
class Delivery:
    """Data files in order of their path, and the names of the files that were left alone.

    Whatever a manifest has a hash for, its file promises.
    """

    files: tuple[DeliveredFile, ...]
    ignored: tuple[str, ...] = ()


@contextmanager
def open_delivery(path: Path, kinds: Sequence[Kind]) -> Iterator[Delivery]:
    """The files of `kinds` in a directory (recursively) or a batch .zip, or a single one.

    They can be read inside the `with` block: a zip is unpacked into a temporary directory that is gone afterwards. In
    directories and zips, files that are no data files are listed as ignored; a data file that a manifest lists and that
    is not there is listed as delivered, so that reading names it. Raises UnreadableFileError.
    """
    with ExitStack() as stack:
        if path.is_dir():
            yield _directory(path, kinds, stack)
        elif not path.exists() and not path.is_symlink():
            raise UnreadableFileError(path, "there is no such file or directory", "Check the path")
        elif path.suffix == ".zip":
            yield _directory(_unpack(path, stack), kinds, stack, 1)
        elif _is_data(path.name, kinds):
            listed = _manifest(path.parent / _MANIFEST)
            yield Delivery((_with_symbology(listed.get(path, DeliveredFile(path, path.name)), listed),))
        else:
            raise UnreadableFileError(
                path,
                "its name does not say that it holds data",
                f"Give a directory, a batch .zip, or a file named {', '.join(kind.naming for kind in kinds)}",
            )


def _is_data(name: str, kinds: Sequence[Kind]) -> bool:
    return any(kind.recognises(name) for kind in kinds)


def _with_symbology(file: DeliveredFile, listed: Mapping[Path, DeliveredFile]) -> DeliveredFile:
    place = file.path.with_name(_SYMBOLOGY)
    return replace(file, symbology=listed.get(place, DeliveredFile(place, place.name))) if place.is_file() else file


def _directory(root: Path, kinds: Sequence[Kind], stack: ExitStack, depth: int = 0) -> Delivery:
    listed: dict[Path, DeliveredFile] = {}
    ignored: list[str] = []
    # Links to nothing, pipes and devices are listed too: as data they are refused, in silence nothing is left.
    present = sorted(path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in present:
        if path.name == _MANIFEST:
            listed |= _manifest(path)
    files = {
        path: _with_symbology(file, listed)
        for path, file in listed.items()
        if _is_data(file.name, kinds) and (file.name not in _VENDOR_NOTES or path.exists())
    }
    for path in present:
        if _is_data(path.name, kinds):
            files.setdefault(path, _with_symbology(DeliveredFile(path, path.name), listed))
        elif path.suffix == ".zip" and path.is_file():
            if depth == MAX_ZIP_DEPTH:
                raise UnreadableFileError(
                    path, f"it is an archive in {depth} others", "Unpack it by hand and land the directory"
                )
            inner = _directory(_unpack(path, stack), kinds, stack, depth + 1)
            files.update((file.path, file) for file in inner.files)
            ignored += inner.ignored
        elif path.name not in _VENDOR_NOTES:
            ignored.append(shown(path.relative_to(root).as_posix()))
    found = sorted(files.values(), key=lambda file: (file.name, file.path))
    return Delivery(tuple(found), tuple(ignored))


def _manifest(path: Path) -> dict[Path, DeliveredFile]:
    """The files that a Databento manifest lists, by path; none if there is no manifest."""
    if not path.is_file():
        return {}
    try:
        listed = {}
        for entry in json.loads(path.read_bytes())["files"]:
            name = str(entry["filename"])
            algorithm, _, digest = str(entry["hash"]).partition(":")
            if algorithm != "sha256" or PurePosixPath(name).name != name or "\\" in name:
                raise ValueError(f"unexpected entry {name!r}")
            place = path.parent / name
            listed[place] = DeliveredFile(place, name, digest.lower(), int(entry["size"]))
        return listed
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableFileError(
            path,
            f"it is no readable Databento manifest, which lists files with filename, size and sha256 hash ({error})",
            "Download the manifest again, or move it away to land the files without their hashes",
        ) from error


def _unpack(path: Path, stack: ExitStack) -> Path:
    """Unpack a zip into a temporary directory that lives as long as `stack`; no member can leave it."""
    target = stack.enter_context(scratch_directory())
    names: set[PurePosixPath] = set()
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            # Reading stops at a member's stated size, so the stated sizes are a true bound.
            if len(members) > MAX_ZIP_MEMBERS or sum(member.file_size for member in members) > MAX_ZIP_BYTES:
                raise UnreadableFileError(
                    path,
                    f"the archive holds more than {MAX_ZIP_MEMBERS} files or {MAX_ZIP_BYTES // 2**30} GiB",
                    "Unpack it by hand and land the directory",
                )
            if sum(member.file_size for member in members) > (free := disk_usage(target).free):
                raise UnreadableFileError(
                    path, f"unpacked it is larger than the {free // 2**20} MiB that are free in {target.parent}",
                    "Make room, or name another directory in TMPDIR",
                )  # fmt: skip
            for member in members:
                name = PurePosixPath(member.filename)
                if name in names:
                    raise UnreadableFileError(
                        path,
                        f"the archive has two members {member.filename!r}, and nothing says which is meant",
                        "Unpack it by hand and land the right one",
                    )
                names.add(name)
                unsafe = name.is_absolute() or ".." in name.parts or any(c in member.filename for c in "\\:\0")
                if unsafe or stat.S_ISLNK(member.external_attr >> 16):
                    raise UnreadableFileError(
                        path,
                        f"the archive member {member.filename!r} would be written outside the target directory",
                        "Do not unpack this archive; ask where it comes from",
                    )
                file = target.joinpath(*name.parts)
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, file.open("wb") as sink:
                    while block := source.read(2**20):
                        sink.write(block)
    except UnreadableFileError:
        raise
    except Exception as error:  # each method of compression has errors of its own
        raise UnreadableFileError(path, f"the archive cannot be unpacked ({error})", AGAIN) from error
    return target
