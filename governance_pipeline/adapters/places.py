"""Files at an address: listed and copied through fsspec, so every store that it knows is a source.

Credentials come from the environment as each store's own tools read them.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
from fsspec.registry import known_implementations

from governance_pipeline.adapters.variables import hidden
from governance_pipeline.errors import SourceError

ADDRESS = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# What these stores promise to change with every change of a file's bytes. No other is believed: a
# file's time and size can stay while its bytes change.
VERSIONS = {
    "s3": "ETag", "s3a": "ETag", "gs": "generation", "gcs": "generation", "az": "etag",
    "abfs": "etag", "abfss": "etag", "http": "ETag", "https": "ETag",
}  # fmt: skip
SECONDS_TO_CONNECT = 30
SECONDS_WITHOUT_A_BYTE = 120


@dataclass(frozen=True)
class RemoteFile:
    """One file at an address; `version` changes with its bytes, or is None where none does."""

    name: str
    address: str = field(repr=False)
    template: str
    version: str | None

    @property
    def basename(self) -> str:
        """The last part of the address, without what a server is asked beside it."""
        return re.split(r"[?#]", self.address, maxsplit=1)[0].rpartition("/")[2]

    def fetch(self, target: Path) -> None:
        """Copy the file's bytes to a path, a block at a time.

        Raises:
            SourceError: If they cannot be had, or were replaced while they were copied.
        """
        store, path = _store(self.address, self.template)
        try:
            store.get_file(path, str(target))
            version = _version(store, self.address, {}) if self.version else None
        except Exception as error:  # each store has failures of its own kind
            raise _failure(self.name, self.template, error) from error
        if version != self.version:
            raise SourceError(f"{self.name} was replaced while it was read; run again")


def files_at(address: str, template: str) -> list[RemoteFile]:
    """Return the files that an address names or matches, by name; none if nothing is there.

    Args:
        address: With everything filled in.
        template: The same as governance.yaml has it, for messages.

    Raises:
        SourceError: If the store cannot be asked, or its driver is not installed.
    """
    store, path = _store(address, template)
    try:
        store.invalidate_cache()
        found = _listed(store, path)
    except Exception as error:  # each store has failures of its own kind
        raise _failure(hidden(address, [template]), template, error) from error
    scheme = _scheme(address)
    files = []
    for name, info in sorted(found.items()):
        if info.get("type") == "file":
            full = name if ADDRESS.match(name) else str(store.unstrip_protocol(name))
            version = _version(store, full, info) if scheme in VERSIONS else None
            files.append(RemoteFile(hidden(full, [template]), full, template, version))
    return files


def _listed(store: Any, path: str) -> dict[str, dict[str, Any]]:
    if any(sign in path for sign in "*["):
        return dict(store.glob(path, detail=True))
    try:
        return {path: store.info(path)}
    except FileNotFoundError as error:
        # By HTTP every failure is called so; only "not found" means that nothing is there.
        if error.__cause__ is not None and getattr(error.__cause__, "status", 404) != 404:
            raise error.__cause__ from error
        if isinstance(error.__cause__, OSError) and not isinstance(
            error.__cause__, FileNotFoundError
        ):
            raise error.__cause__ from error
        return {}


def _version(store: Any, address: str, listed: dict[str, Any]) -> str | None:
    key = VERSIONS[_scheme(address)]
    info = listed if listed.get(key) else store.info(store._strip_protocol(address))
    version = info.get(key)
    return None if not version or str(version).startswith("W/") else f"{version}"


def _scheme(address: str) -> str:
    found = ADDRESS.match(address)
    return found[1].lower() if found else "file"


def _store(address: str, template: str) -> tuple[Any, str]:
    scheme, options = _scheme(address), {}
    try:
        if scheme in ("http", "https"):
            options = _http_options()
        store, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        driver = known_implementations.get(scheme, {}).get("class", "").partition(".")[0]
        package = {"fsspec": "aiohttp"}.get(driver, driver) or scheme
        raise SourceError(
            f"{hidden(address, [template])} needs the package {package}, which is not installed;"
            f" add it beside the pipeline: pip install {package}"
        ) from error
    except ValueError as error:
        raise SourceError(
            f"{hidden(address, [template])} is of a kind that is not known ({scheme}://); give a"
            " path, or an address such as s3://bucket/{channel}/{date}/*.parquet"
        ) from error
    return store, path


def _http_options() -> dict[str, Any]:
    import aiohttp

    # The bytes as they lie there: a server may offer, and the client take off, a compression.
    return {
        "headers": {"Accept-Encoding": "identity"},
        "client_kwargs": {
            "auto_decompress": False,
            "timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=SECONDS_TO_CONNECT, sock_read=SECONDS_WITHOUT_A_BYTE
            ),
        },
    }


def _failure(name: str, template: str, error: Exception) -> SourceError:
    said = hidden(error, [template])[:200]
    return SourceError(f"{name} cannot be read ({type(error).__name__}: {said})")
