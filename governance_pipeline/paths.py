"""Where everything lies under one home."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The folders and files of a home; nothing is written outside of `root`."""

    root: Path

    @property
    def landing(self) -> Path:
        """What upstream drops: `<feed>/<channel>/<YYYY-MM-DD>/*`."""
        return self.root / "landing"

    @property
    def lake(self) -> Path:
        """Parquet: accepted, quarantine, derived, manifests, registry snapshots."""
        return self.root / "lake"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file of dbt and judgement; private to the pipeline."""
        return self.root / "warehouse.duckdb"

    @property
    def spark(self) -> Path:
        """What Spark keeps between builds: the tables it wrote, as Parquet, and their schemas."""
        return self.root / "spark"

    @property
    def published(self) -> Path:
        """Immutable snapshots and `serve.duckdb`: what analysts read."""
        return self.root / "published"

    @property
    def data_docs(self) -> Path:
        """The page of every rule and the newest deliveries."""
        return self.root / "data_docs"

    @property
    def registry(self) -> Path:
        """The registry's YAML, usually a checkout of its git repository."""
        return self.root / "registry"

    @property
    def governance_yaml(self) -> Path:
        """The calendar and the sources of this home."""
        return self.root / "governance.yaml"

    @property
    def dagster(self) -> Path:
        """Dagster's own home: `dagster.yaml`, runs, events."""
        return self.root / "dagster"

    @property
    def sampling_key(self) -> Path:
        """The secret that keys the audit draw, so that nobody can tell what will be audited."""
        return self.root / "sampling_key"

    @property
    def ops(self) -> Path:
        """The escalations' store, where GOVERNANCE_OPS_URL names no other."""
        return self.root / "ops.db"

    @property
    def reinstatements(self) -> Path:
        """Every export of real item and seller ids: who, when, which file. Only appended to."""
        return self.root / "reinstatements.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the one process that writes."""
        return self.root / "writer.lock"
