"""What the same work costs by hand: bare DuckDB, one-pass SQL, Great Expectations on pandas."""

import resource
from pathlib import Path

import duckdb

from governance_pipeline.adapters.draws import draw_sql
from governance_pipeline.adapters.suites import Suite
from governance_pipeline.feeds import FEEDS

COLUMNS = FEEDS["decisions"].columns
CONFIG = {"threads": "2", "memory_limit": "600MB"}
TYPES = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items()) + "}"


def read_and_write(files: list[str], form: str, out: Path) -> None:
    """Read typed rows, keep the rejected ones, write Parquet: what DuckDB does by itself."""
    order = header_of(files[0]) if form == "csv" else list(COLUMNS)
    types = "{" + ", ".join(f"'{name}': '{COLUMNS[name]}'" for name in order) + "}"
    reader = (
        f"read_csv($file, columns = {types}, header = true, auto_detect = false,"
        " store_rejects = true)"
        if form == "csv"
        else f"read_json($file, columns = {types}, format = 'newline_delimited',"
        " ignore_errors = true)"
    )
    with duckdb.connect(config=dict(CONFIG)) as connection:
        for number, file in enumerate(files):
            connection.execute(
                f"copy (select * from {reader}) to '{out}/{number}.parquet' (format parquet)",
                {"file": file},
            )
            if form == "csv":
                connection.execute(
                    f"copy (select * from reject_errors) to '{out}/rejects-{number}.parquet'"
                )
                connection.execute("drop table reject_errors")
                connection.execute("drop table reject_scans")


def header_of(file: str) -> list[str]:
    """Return the columns of a CSV file."""
    with Path(file).open() as stream:
        return stream.readline().strip().split(",")


def validate_by_hand(files: list[str], suite: Suite) -> dict[str, int]:
    """Return how many rows break each rule: one pass for the rules, one for uniqueness by file."""
    uncast = ", ".join(
        f'null::varchar as "{name}__uncast"' for name, kind in COLUMNS.items() if kind != "varchar"
    )
    counts = ", ".join(f"count(*) filter ({rule.broken})" for _, rule in suite.row_rules)
    rows = (
        f"select *, null::varchar as unreadable, {uncast}, split_part(path, '/', -3) as"
        " delivery_channel, split_part(path, '/', -2)::date as delivery_date"
        " from read_parquet($files, filename = 'path')"
    )
    with duckdb.connect(config=dict(CONFIG)) as connection:
        found = connection.execute(f"select {counts} from ({rows})", {"files": files}).fetchone()
        twice = connection.execute(
            "select coalesce(sum(n), 0)::bigint from (select count(*) as n from"
            " read_parquet($files) group by file_index, decision_id having n > 1)",
            {"files": files},
        ).fetchone()
    broken = dict(zip([rule.name for _, rule in suite.row_rules], found or (), strict=True))
    return broken | {rule.name: (twice or (0,))[0] for rule in suite.unique_rules}


def validate_on_pandas(files: list[str], suite: Suite) -> dict[str, float]:
    """Let Great Expectations judge rows in pandas; what it takes to read them is not counted."""
    import pandas as pd

    from governance_pipeline.adapters.expectations import import_once

    gx = import_once()
    rows = pd.concat(pd.read_parquet(file) for file in files)
    for name, kind in COLUMNS.items():
        if kind != "varchar":
            rows[f"{name}__uncast"] = None
    rows["unreadable"], rows["delivery_channel"] = None, rows["channel"]
    rows["delivery_date"] = rows["decided_at"].dt.date
    # Queries for rows are SQL, which pandas has none of.
    kept = [e for e in suite.expectations if e["type"] != "unexpected_rows_expectation"]
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": rows})
    began = cpu()
    batch.validate(
        gx.ExpectationSuite(name="rows", expectations=kept),
        result_format={"result_format": "BASIC"},
    )
    return {"validate": cpu() - began, "rows": len(rows)}


def cpu() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


DRAW = draw_sql("'0123456789abcdef0123456789abcdef'", "item_id", "'policy'", "decided_at::date")


def draw_by_hand(files: list[str], out: Path) -> None:
    """Write what marts count every decision by, which were drawn, and which fired, file by file."""
    with duckdb.connect(config=dict(CONFIG)) as connection:
        for number, file in enumerate(files):
            connection.execute(f"create or replace temp table tied as {TIED}", {"file": file})
            for table, query in (("counted", COUNTED), ("drawn", DRAWN), ("fired", FIRED)):
                bound = {"file": file} if table != "drawn" else {
                    "file": file, "counted": f"{out}/counted-{number}.parquet"
                }  # fmt: skip
                target = f"{out}/{table}-{number}.parquet"
                connection.execute(f"copy ({query}) to '{target}' (format parquet)", bound)


UNIT = "strategy_id, strategy_version, environment, item_id, decided_at::date"
# Few items are judged twice by a strategy on a day: a hash finds them, the rows are ranked then.
TIED = f"""
with hashed as (
    select hash({UNIT}) as unit, file_row_number as place from read_parquet($file)
), repeated as (select unit from hashed group by unit having count(*) > 1)
select file_row_number as place, row_number() over (
    partition by {UNIT} order by is_fired desc, decided_at, decision_id) = 1 as is_unit
from read_parquet($file) where file_row_number in (
    select place from hashed semi join repeated using (unit))
"""
COUNTED = f"""
select decided_at::date as decision_date, strategy_id, strategy_version, channel, environment,
    category, market, is_fired, action,
    if(is_fired, 'fired/', 'unfired/') || score_bin as stratum, score_bin,
    least(19, floor(score * 20))::smallint as fine_bin, reach, gmv,
    0.01::double as audit_probability, coalesce(is_unit, true) as is_unit,
    coalesce(is_unit, true) and {DRAW} < 0.01 as is_sampled, d.place
from (
    select *, file_row_number as place, (score >= 0.2)::smallint + (score >= 0.4)::smallint
        + (score >= 0.6)::smallint + (score >= 0.8)::smallint as score_bin
    from read_parquet($file)
) d left join tied using (place)
"""
DRAWN = """
select d.decision_id, d.item_id, d.seller_id, d.decided_at, c.*
from (select *, file_row_number as place from read_parquet($file)) d
join read_parquet($counted) c on c.place = d.place and c.is_sampled
"""
FIRED = """
select decision_id, item_id, strategy_id, strategy_version, environment, action, channel,
    decided_at::date as decision_date from read_parquet($file) where is_fired
"""
