"""Reading one published snapshot."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from governance_pipeline.adapters.publish import current_snapshot
from governance_pipeline.errors import InputError

Row = tuple[Any, ...]
Bound = Mapping[str, Any] | str | None


@contextmanager
def serving_connection(published: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open one published snapshot for reading, with no way to any other file.

    The views go to the snapshot's own folder, not through `current`, so that several questions
    are answered from the same state while a run publishes the next one.

    Raises:
        PublishError: If nothing was published yet.
    """
    folder = current_snapshot(published)
    with duckdb.connect(config={"python_enable_replacements": False}) as reader:
        for file in sorted(folder.glob("*.parquet")):
            source = str(file).replace("'", "''")
            reader.execute(f"create view {file.stem} as select * from read_parquet('{source}')")
        # The folder is allowed first, since nothing can be allowed after the door is closed.
        reader.execute("set allowed_directories = [$folder]", {"folder": f"{folder}/"})
        reader.execute("set enable_external_access = false")
        reader.execute("set lock_configuration = true")
        yield reader


def ask(connection: duckdb.DuckDBPyConnection, sql: str, values: Bound = None) -> pd.DataFrame:
    """Return the answer to one statement; a lone text binds `$id`.

    Raises:
        InputError: If DuckDB refuses the statement, with its own first sentence.
    """
    return _executed(connection, sql, values).df()


def ask_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Bound = None
) -> tuple[list[str], list[Row]]:
    """Return the columns and the rows of one statement as DuckDB gives them: days stay days.

    Raises:
        InputError: If DuckDB refuses the statement, with its own first sentence.
    """
    answer = _executed(connection, sql, values)
    return [name for name, *_ in answer.description or []], answer.fetchall()


def unknown_strategy(connection: duckdb.DuckDBPyConnection, strategy: str) -> str:
    """Return what is said of a strategy that is not registered, with the nearest one that is."""
    near = ask(
        connection,
        "select strategy_id from dim_strategies order by levenshtein(strategy_id, $id) limit 1",
        strategy,
    )
    hint = f"; did you mean {near['strategy_id'].iloc[0]}?" if len(near) else ""
    return f"no strategy {strategy} is registered{hint}"


def _executed(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Bound
) -> duckdb.DuckDBPyConnection:
    try:
        return connection.execute(sql, {"id": values} if isinstance(values, str) else values)
    except duckdb.Error as error:
        raise InputError(f"the query was refused: {str(error).splitlines()[0]}") from error
