"""The home as a resource: the only way a step reaches files, and the writer's lock of its run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import dagster as dg

from governance_pipeline.adapters.writer_lock import writer_lock
from governance_pipeline.paths import Paths
from governance_pipeline.settings import Settings

ENGINE_SETTINGS = {"engine", "memory_limit", "threads", "spark_master", "spark_memory"}


class Home(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One home, held for writing from a run's first step to its last.

    Steps run in the process of their run, so the lock taken when the resource is set up covers
    the whole run. A second run waits for it; if that takes too long it says who holds the lock and
    fails before it wrote anything.
    """

    root: str
    memory_limit: str = "1GB"
    threads: int = 2
    engine: Literal["duckdb", "spark"] = "duckdb"
    spark_master: str = ""
    spark_memory: str = "2g"
    wait_seconds: float = 3600.0

    @property
    def settings(self) -> Settings:
        """The settings that this home runs with."""
        said = {name: getattr(self, name) for name in ENGINE_SETTINGS}
        return Settings(home=Path(self.root), **said)

    @property
    def paths(self) -> Paths:
        """The folders of this home."""
        return Paths(Path(self.root))

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Home"]:
        """Hold the writer's lock as long as the run lasts."""
        run = context.run
        with writer_lock(
            self.paths,
            f"run {run.run_id[:8]} of {run.job_name}" if run else "a check",
            wait_seconds=self.wait_seconds if run else 0.0,
        ):
            yield self


class DeskAt(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where the escalations' desk works: no lock of the home, it has a store of its own."""

    root: str
    ops_url: str = ""
    ui_url: str

    @property
    def settings(self) -> Settings:
        """What the desk needs to know of the home."""
        return Settings(home=Path(self.root), ops_url=self.ops_url or None, ui_url=self.ui_url)
