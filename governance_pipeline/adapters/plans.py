"""Audit plans: the sampling rates, policies and score cuts that draws were made by.

A partition keeps the plan of its first intake, so a restatement draws the same items with the same
probabilities, whatever the registry says by then.
"""

import hashlib
import json
import os
from pathlib import Path

import duckdb

from governance_pipeline.adapters.registry_store import applied_folder
from governance_pipeline.adapters.sql import literal

DEFAULT_CUTS = (0.2, 0.4, 0.6, 0.8)
# One row per strategy, version and rate; a version without rates has one row with none.
PLAN = """
select s.strategy_id, s.policy, v.version, v.score_cuts, r.is_fired, r.score_bin, r.rate
from read_parquet($strategies) s
left join read_parquet($strategy_versions) v using (strategy_id)
left join read_parquet($sampling_rates) r on r.strategy_id = v.strategy_id
    and r.version = v.version
order by all
"""


def keep_current_plan(lake: Path) -> str:
    """Write today's plan to `lake/plans/<hash>.parquet` unless it is there, and return its hash.

    Raises:
        RegistryError: If no registry was applied yet.
    """
    folder = applied_folder(lake)
    tables = ("strategies", "strategy_versions", "sampling_rates")
    files = {table: str(folder / f"{table}.parquet") for table in tables}
    with duckdb.connect() as connection:
        rows = connection.execute(PLAN, files).fetchall()
        plan_hash = hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()
        target = plan_file(lake, plan_hash)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f".{target.name}.{os.getpid()}")
            connection.execute(f"copy ({PLAN}) to {literal(fresh)} (format parquet)", files)
            fresh.replace(target)
    return plan_hash


def plan_file(lake: Path, plan_hash: str) -> Path:
    """Return where the plan of a hash is kept."""
    return lake / "plans" / f"{plan_hash}.parquet"


def load_plans(connection: duckdb.DuckDBPyConnection, lake: Path, hashes: set[str]) -> None:
    """Create the tables `policies`, `designs` and `rates` of some plans.

    A design is a strategy's version under a plan, with its policy and its cuts; nothing reaches
    those that a version with fewer than the default has not. Rates are by the number of a design:
    names are compared once for each decision.
    """
    files = [str(plan_file(lake, plan_hash)) for plan_hash in sorted(hashes)]
    connection.execute(
        "create table plans as select * exclude (path), parse_filename(path, true) as plan_hash"
        " from read_parquet($files, filename = 'path')",
        {"files": files},
    )
    connection.execute(
        "create table policies as select distinct plan_hash, strategy_id, policy from plans"
    )
    # A column for each, because a list is copied for every row that is compared with it.
    each = ", ".join(
        f"case when listed is null then {cut} else coalesce(listed[{n}], 'inf'::double) end"
        f" as cut_{n}"
        for n, cut in enumerate(DEFAULT_CUTS, 1)
    )
    connection.execute(
        "create table designs as select row_number() over ()::integer as design, plan_hash,"
        f" strategy_id, version, policy, {each} from ("
        "select plan_hash, strategy_id, version, any_value(policy) as policy,"
        " string_split(any_value(score_cuts), ',')::double[] as listed"
        " from plans where version is not null group by all)"
    )
    connection.execute(
        "create table rates as select design, is_fired, score_bin::smallint as score_bin, rate"
        " from plans join designs using (plan_hash, strategy_id, version) where rate is not null"
    )
