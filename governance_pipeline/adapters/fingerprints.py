"""Which bytes a delivered file has: known before it is read, fetched where it lies elsewhere."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from governance_pipeline.adapters.landing import Delivered, Delivery, KeptFile, form_of
from governance_pipeline.adapters.ledger import SourceFile
from governance_pipeline.adapters.places import RemoteFile
from governance_pipeline.adapters.postgres import Extract
from governance_pipeline.adapters.reading import DeliveredFile, Stamp
from governance_pipeline.errors import SourceError


def fingerprint(
    number: int,
    file: Delivered,
    delivery: Delivery,
    home: Path,
    scratch: Path,
    known: Mapping[tuple[str, str | None], SourceFile],
) -> DeliveredFile | None:
    """Return a file with its bytes known and a name of its own, and nothing else yet.

    What lies elsewhere is copied into `scratch`, but for a file whose store says that it is the
    one already `known`. Of a query that found no row nothing was delivered: None.
    """
    if isinstance(file, RemoteFile):
        return _fingerprint_remote(number, file, delivery, scratch, known)
    if isinstance(file, Extract):
        path = scratch / f"{number}.csv"
        found = file.fetch(path)
        if not found.rows:
            return None
        return DeliveredFile(
            number, file.name, path, path, delivery.channel, delivery.day, delivery.source,
            found.sha256, path.stat().st_size, "csv", types=found.types,
        )  # fmt: skip
    stamp, sha256 = None, ""
    if isinstance(file, KeptFile):
        name, path, sha256 = file.name, file.path, _sha256(file.path)
        if sha256 != file.sha256:
            raise SourceError(f"{name} is gone and was written over before; deliver it again")
    else:
        name = str(file.relative_to(home)) if file.is_relative_to(home) else str(file)
        path, stamp = file, stamp_of(file)
    return DeliveredFile(
        number, name, path, path, delivery.channel, delivery.day, delivery.source,
        sha256 or _sha256(path), path.stat().st_size, form_of(path) or "", stamp=stamp,
    )  # fmt: skip


def stamp_of(file: Path) -> Stamp | None:
    """Return what changes whenever a file is written to or replaced; None if it is gone."""
    try:
        said = file.stat()
    except FileNotFoundError:
        return None
    return said.st_ino, said.st_size, said.st_mtime_ns


def refuse_changed(files: Iterable[DeliveredFile]) -> None:
    """See to it that what was read of files are the bytes that they are known by.

    Raises:
        SourceError: If one of this machine was written to or replaced since it was looked at.
    """
    for file in files:
        if file.stamp is not None and stamp_of(file.path) not in (file.stamp, None):
            raise SourceError(f"{file.name} was written to while it was read; run again")


def fetched(file: DeliveredFile) -> DeliveredFile:
    """Return a file whose bytes are on this machine.

    Raises:
        SourceError: If they are not those that its store vouched for.
    """
    if isinstance(file.origin, RemoteFile) and not file.path.exists():
        file.origin.fetch(file.path)
        if _sha256(file.path) != file.sha256:
            raise SourceError(f"{file.name} was replaced and kept its version; run again")
    return file


def _fingerprint_remote(
    number: int,
    file: RemoteFile,
    delivery: Delivery,
    scratch: Path,
    known: Mapping[tuple[str, str | None], SourceFile],
) -> DeliveredFile:
    # Only the ending of its name is taken over: a store may call a file anything.
    form, ending = form_of(Path(file.basename)) or "", Path(file.basename).suffix
    path = scratch / f"{number}{ending if ending in ('.gz', '.zst') else ''}"
    before = known.get((file.name, file.version)) if file.version else None
    if before is None:
        file.fetch(path)
    return DeliveredFile(
        number, file.name, path, path, delivery.channel, delivery.day, delivery.source,
        before.sha256 if before else _sha256(path),
        before.bytes if before else path.stat().st_size,
        form, origin=file, version=file.version,
    )  # fmt: skip


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
