"""Where things are and which engine runs the marts: `GOVERNANCE_*` variables, then defaults."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from governance_pipeline.paths import Paths

PROJECT_ROOT = Path(__file__).resolve().parents[1]
DBT_PROJECT = PROJECT_ROOT / "dbt_project"
EXPECTATIONS = PROJECT_ROOT / "expectations"


class Settings(BaseSettings):
    """What an operator may set; everything else is in the home's `governance.yaml`."""

    model_config = SettingsConfigDict(env_prefix="GOVERNANCE_", frozen=True)

    home: Path = Field(Path(".governance"), description="The folder that holds all state.")
    engine: Literal["duckdb", "spark"] = Field("duckdb", description="The engine dbt runs on.")
    memory_limit: str = Field("1GB", description="DuckDB's memory limit, e.g. 1GB.")
    ops_url: str | None = Field(
        None,
        description="The escalations' store, e.g. postgresql://governance@db/ops; its password is "
        "PGPASSWORD's. ops.db in the home by default.",
    )
    ui_url: str = Field(
        "http://127.0.0.1:3000", description="Where the catalog is served, for links in messages."
    )
    threads: int = Field(2, ge=1, description="Threads the engine may use on this machine.")
    spark_master: str = Field("", description="Spark's master; this machine's threads if empty.")
    spark_memory: str = Field("2g", description="Memory of Spark's driver, e.g. 2g.")

    @property
    def store_url(self) -> str:
        """The URL of the escalations' store."""
        return self.ops_url or f"sqlite:///{self.paths.ops}"

    @property
    def paths(self) -> Paths:
        """The home's folders, absolute, so that they hold in any working directory."""
        return Paths(self.home.expanduser().resolve())
