"""Names and texts as SQL, for the places where DuckDB binds no values."""


def quoted(name: str) -> str:
    """Return `name` as a SQL identifier.

    >>> quoted('odd"name')
    '"odd""name"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    """Return `text` as a SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + str(text).replace("'", "''") + "'"
