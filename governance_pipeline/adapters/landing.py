"""What was delivered: the default landing folders, or the sources that `governance.yaml` names."""

import datetime as dt
import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Union

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from governance_pipeline.adapters.variables import filled, holds_a_secret
from governance_pipeline.errors import SourceError
from governance_pipeline.feeds import CHANNELS, FEEDS

if TYPE_CHECKING:
    from governance_pipeline.adapters.places import RemoteFile
    from governance_pipeline.adapters.postgres import Extract

Delivered = Union[Path, "KeptFile", "RemoteFile", "Extract"]
FORMS = {
    form: re.compile(rf"\.({endings})(\.gz|\.zst)?$", re.IGNORECASE)
    for form, endings in {
        "csv": "csv", "json": "jsonl|ndjson|json", "parquet": "parquet",
    }.items()
}  # fmt: skip
DATE = re.compile(r"\{date(?::([^{}]+))?\}")
ADDRESS = re.compile(r"^(?!(?:file|local)://)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
UNFINISHED = re.compile(r"^[._]|\.(tmp|part|crdownload)$")


class Calendar(BaseModel):
    """The delivery dates of a home."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: dt.date
    end: dt.date | None = None


class Source(BaseModel):
    """Where a feed is read from instead of its landing folder, and how its columns map.

    Files have a `path`: of this machine, relative to the home, or an address of a store. Rows of
    PostgreSQL have a `database`, whose account is in the environment, and a `query` or a `table`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    feed: str
    path: str | None = None
    database: str | None = None
    query: str | None = None
    table: str | None = None
    channel: str | None = None
    split_by: str | None = None
    mapping: str | None = None

    @property
    def said(self) -> str:
        """What messages call it: the path, the table or the query."""
        return self.path or self.table or f"the query of {self.database}"

    @property
    def where(self) -> str:
        """The text that `{channel}` and `{date}` are written in."""
        return self.path or self.query or ""

    @model_validator(mode="after")
    def _names_exist(self) -> "Source":
        if self.feed not in FEEDS:
            raise ValueError(f"feed {self.feed} is not one of {', '.join(FEEDS)}")
        if self.channel is not None and self.channel not in CHANNELS:
            raise ValueError(f"channel {self.channel} is not one of {', '.join(CHANNELS)}")
        return self

    @model_validator(mode="after")
    def _is_one_place(self) -> "Source":
        if (self.path is None) == (self.database is None):
            raise ValueError("give either path, or database with a query or a table")
        if self.database is not None and (self.query is None) == (self.table is None):
            raise ValueError("give either query or table beside database")
        if self.database is None and (self.query or self.table):
            raise ValueError("query and table are asked of a database; give database")
        if any(holds_a_secret(text) for text in (self.path, self.database) if text):
            raise ValueError(
                "a password is written in it; write ${VARIABLE} and set that in the environment"
            )
        return self

    @model_validator(mode="after")
    def _rows_have_channel_and_day(self) -> "Source":
        if self.channel is None and "{channel}" not in self.where:
            raise ValueError("give channel, or {channel} in path or query")
        if self.split_by is None and not DATE.search(self.where):
            raise ValueError("give {date} in path or query, or split_by: the time that dates a row")
        if self.query and re.search(r"'\{(date|channel)\}'|\{date:", self.query):
            raise ValueError("write {date} and {channel} bare in a query: they are bound as values")
        return self


class HomeConfig(BaseModel):
    """The whole of `governance.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calendar: Calendar
    reporting_currency: str | None = Field(None, pattern=r"^[A-Z]{3}$")
    sources: list[Source] = []


@dataclass(frozen=True)
class KeptFile:
    """A file that lay in landing under its name, and is read where the lake keeps it."""

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Delivery:
    """The files of one channel that came on one date; `day` is None where rows date themselves."""

    channel: str
    day: dt.date | None
    files: Sequence[Delivered]
    source: Source | None = field(default=None, compare=False)


def load_sources(path: Path) -> HomeConfig:
    """Return what a home's `governance.yaml` says.

    Raises:
        SourceError: If the file is missing or wrong, naming the field and the remedy.
    """
    if not path.exists():
        raise SourceError(f"{path} is missing; `governance init` writes one")
    try:
        return HomeConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SourceError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        said = first["msg"].removeprefix("Value error, ")
        raise SourceError(
            f"{path}: {where}: {said}; docs/bring-your-own-logs.md shows it"
        ) from error


def discover(
    feed: str,
    channels: Iterable[str],
    days: Sequence[dt.date],
    landing: Path,
    sources: Sequence[Source],
) -> list[Delivery]:
    """Return the deliveries of a feed that came within a range of days.

    A folder that is there without files is a delivery of nothing; one that is not there was not
    delivered. Files being written (hidden, `.tmp`, `.part`) are left for the next look.
    """
    found = []
    own = [source for source in sources if source.feed == feed]
    for channel in channels:
        named = [s for s in own if s.channel in (None, channel)]
        for source in named:
            found += _from_source(source, channel, days, landing.parent)
        if not named:
            found += _from_landing(landing / feed / channel, channel, days)
    return found


def has_come(
    feed: str, channels: Sequence[str], days: Sequence[dt.date], config: HomeConfig, folder: Path
) -> bool:
    """Return whether anything of a feed may have come within a range of days.

    A folder is looked at; a source may have to be asked for its rows, which is left to intake.
    """
    named = (source for source in config.sources if source.feed == feed)
    if any(source.channel is None or source.channel in channels for source in named):
        return True
    wanted = {day.isoformat() for day in days}
    folders = [folder / feed / channel for channel in channels]
    return any(
        entry.name in wanted for place in folders if place.is_dir() for entry in os.scandir(place)
    )


def form_of(file: Path) -> str | None:
    """Return how a file is read: csv, json or parquet; None if by its name it is none of them."""
    return next((form for form, ending in FORMS.items() if ending.search(file.name)), None)


def _from_landing(folder: Path, channel: str, days: Sequence[dt.date]) -> list[Delivery]:
    there = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    return [
        Delivery(channel, day, _finished(folder.joinpath(day.isoformat()).iterdir()))
        for day in days
        if day.isoformat() in there
    ]


def _from_source(
    source: Source, channel: str, days: Sequence[dt.date], home: Path
) -> list[Delivery]:
    if source.database is not None:
        return _from_database(source, channel, days)
    assert source.path is not None
    pattern = filled(source.path).replace("{channel}", channel)
    if source.split_by is not None:
        files = _matching(pattern, source, home)
        if not files:
            raise SourceError(f"{source.path} of feed {source.feed} matches no file; correct path")
        return [Delivery(channel, None, files, source)]
    by_day = {day: _matching(_dated(pattern, day), source, home) for day in days}
    return [Delivery(channel, day, files, source) for day, files in by_day.items() if files]


def _from_database(source: Source, channel: str, days: Sequence[dt.date]) -> list[Delivery]:
    from governance_pipeline.adapters.postgres import Extract

    assert source.database is not None
    asked: Sequence[dt.date | None] = [None] if source.split_by else days
    return [
        Delivery(
            channel,
            day,
            [Extract(source.database, source.query, source.table, channel, day)],
            source,
        )
        for day in asked
    ]


def _dated(pattern: str, day: dt.date) -> str:
    return DATE.sub(lambda found: day.strftime(found[1] or "%Y-%m-%d"), pattern)


def _matching(pattern: str, source: Source, home: Path) -> Sequence[Delivered]:
    if ADDRESS.match(pattern):
        from governance_pipeline.adapters.places import files_at

        assert source.path is not None
        return [
            file for file in files_at(pattern, source.path) if not UNFINISHED.search(file.basename)
        ]
    local = re.sub(r"^(file|local)://", "", pattern, flags=re.IGNORECASE)
    return _finished(home / name for name in glob.glob(local, root_dir=home))


def _finished(files: Iterable[Path]) -> list[Path]:
    return sorted(file for file in files if file.is_file() and not UNFINISHED.search(file.name))
