"""The suites in `expectations/`: what each feed must satisfy, and the same lines as SQL.

A suite is written in Great Expectations' own format. Each expectation on rows becomes a predicate
that is true for the rows that break it, so the quarantine and the validation have one declaration.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any, Literal

import yaml

from governance_pipeline.adapters.sql import literal, quoted
from governance_pipeline.errors import ExpectationFileError

UNCAST = "__uncast"  # names the column of the texts that are not of a column's type
MOST_RULES = 63  # the broken rules of a row are the bits of one integer
ROWS_QUERY = re.compile(r"^\s*select \* from \{batch\} where\s+(?P<broken>.+)$", re.DOTALL)

Severity = Literal["critical", "warning", "finding"]
# Great Expectations' words and ours: what it calls info is a finding that somebody has to take up.
SEVERITIES: Mapping[str, Severity] = {
    "critical": "critical", "warning": "warning", "info": "finding",
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """One expectation: its name, its weight, and the SQL of the rows that break it.

    A rule on the uniqueness of columns has them in `unique_by` and breaks no row by itself. A rule
    that `requires` its column refuses a file without it. `why` says what breaks with the rule,
    `remedy` what the supplier of a row does about it, in one sentence each.
    """

    name: str
    severity: Severity
    column: str | None
    broken: str
    unique_by: tuple[str, ...] = ()
    skips_nulls: bool = False
    requires: bool = False
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Suite:
    """The rules of a feed in the order of their declaration, and the declaration itself.

    `rules` judge rows and `expectations` declare them; `set_rules` judge the table `facts`, what
    is to be said of whole deliveries. `shares` are the columns whose values are counted.
    """

    name: str
    rules: tuple[Rule, ...]
    expectations: tuple[Mapping[str, Any], ...]
    max_bad_share: float
    suite_hash: str
    set_rules: tuple[Rule, ...] = ()
    set_expectations: tuple[Mapping[str, Any], ...] = ()
    shares: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def row_rules(self) -> list[tuple[int, Rule]]:
        """The rules that a row breaks by itself, each with its bit."""
        return [(1 << at, r) for at, r in enumerate(self.rules) if not r.unique_by]

    @property
    def required(self) -> list[str]:
        """The columns that a file must have."""
        return [rule.column for rule in self.rules if rule.requires and rule.column]

    @property
    def unique_rules(self) -> list[Rule]:
        """The rules that a row breaks because of another row."""
        return [rule for rule in self.rules if rule.unique_by]

    @property
    def critical_bits(self) -> int:
        """The bits of the rules that keep a row out."""
        return sum(bit for bit, rule in self.row_rules if rule.severity == "critical")

    def limited(self, *, to_rows: bool, to_deliveries: bool) -> "Suite":
        """Return the rules on rows, on whole deliveries, or both."""
        return replace(
            self,
            rules=self.rules if to_rows else (),
            expectations=self.expectations if to_rows else (),
            set_rules=self.set_rules if to_deliveries else (),
            set_expectations=self.set_expectations if to_deliveries else (),
        )

    def is_too_bad(self, bad_rows: int, rows: int) -> bool:
        """Return whether so many rows break critical rules that a delivery is refused whole."""
        return bad_rows > self.max_bad_share * rows


def load_suite(file: Path) -> Suite:
    """Return the suite that a file declares.

    Raises:
        ExpectationFileError: If it is malformed, naming the expectation and the remedy.
    """
    try:
        text = file.read_text(encoding="utf-8")
        declared = yaml.load(text, Loader=yaml.CSafeLoader)
        expectations = tuple(declared["expectations"])
        name = str(declared["name"])
        meta = declared.get("meta", {})
        max_bad_share, shares = float(meta.get("max_bad_share", 0.2)), list(meta.get("shares", []))
    except OSError as error:
        raise ExpectationFileError(f"{file} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ExpectationFileError(
            f"{file.name} is not YAML: {' '.join(str(error).split())}"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExpectationFileError(
            f"{file.name} needs a name and a list of expectations, and numbers in meta"
        ) from error
    rules = tuple(_rule(file.name, expectation) for expectation in expectations)
    names = [rule.name for rule in rules]
    twice = {each for each in names if names.count(each) > 1}
    if twice or len(rules) > MOST_RULES:
        said = f"says {', '.join(sorted(twice))} twice" if twice else f"has {len(rules)} rules"
        raise ExpectationFileError(f"{file.name} {said}; give at most {MOST_RULES}, each its name")
    on_rows = [not _is_on_deliveries(expectation) for expectation in expectations]
    return Suite(
        name,
        tuple(compress(rules, on_rows)),
        tuple(compress(expectations, on_rows)),
        max_bad_share,
        hashlib.sha256(text.encode()).hexdigest(),
        tuple(compress(rules, map(not_, on_rows))),
        tuple(compress(expectations, map(not_, on_rows))),
        {column: _values_of(file.name, expectations, column) for column in shares},
    )


def _is_on_deliveries(expectation: Mapping[str, Any]) -> bool:
    return (expectation.get("meta") or {}).get("batch") == "facts"


def _values_of(
    file: str, expectations: Sequence[Mapping[str, Any]], column: str
) -> tuple[str, ...]:
    """Return the values that a column may have, of which every delivery has a share."""
    for expectation in expectations:
        kind, kwargs = expectation["type"], expectation.get("kwargs") or {}
        if kwargs.get("column") == f"{column}{UNCAST}":
            return ("true",)  # of a yes or no one share says both
        if kind == "expect_column_values_to_be_in_set" and kwargs["column"] == column:
            return tuple(map(str, kwargs["value_set"]))
    raise ExpectationFileError(
        f"{file}: meta.shares names {column}, whose values no expectation lists; add its value set"
    )


def _rule(file: str, expectation: Mapping[str, Any]) -> Rule:
    kind, meta = str(expectation.get("type")), expectation.get("meta") or {}
    name = meta.get("check")
    if not name:
        raise ExpectationFileError(f"{file}: {kind} has no meta.check; give it one, in snake_case")
    said, on_deliveries = expectation.get("severity", "critical"), _is_on_deliveries(expectation)
    if said not in SEVERITIES or (said == "info" and not on_deliveries):
        allowed = "critical, warning or info" if on_deliveries else "critical or warning"
        raise ExpectationFileError(f"{file}: {name} has severity {said}; use {allowed}")
    severity = SEVERITIES[said]
    kwargs = expectation.get("kwargs") or {}
    why, remedy = str(expectation.get("notes", "")), str(meta.get("remedy", ""))
    if kind == "expect_compound_columns_to_be_unique":
        columns = tuple(kwargs["column_list"])
        skips = kwargs.get("ignore_row_if") == "any_value_is_missing"
        return Rule(name, severity, columns[-1], "false", columns, skips, why=why, remedy=remedy)
    if kind not in _COMPILERS:
        raise ExpectationFileError(
            f"{file}: {name} is of type {kind}, which finds no rows; "
            "write it as unexpected_rows_expectation"
        )
    try:
        broken = _COMPILERS[kind](kwargs)
    except (KeyError, ValueError) as error:
        raise ExpectationFileError(f"{file}: {name} has wrong kwargs: {error}") from error
    requires = kind == "expect_column_values_to_not_be_null" and severity == "critical"
    column = kwargs.get("column") or meta.get("column")
    return Rule(name, severity, column, broken, requires=requires, why=why, remedy=remedy)


def _not_null(kwargs: Mapping[str, Any]) -> str:
    return f"{quoted(kwargs['column'])} is null"


def _null(kwargs: Mapping[str, Any]) -> str:
    return f"{quoted(kwargs['column'])} is not null"


def _in_set(kwargs: Mapping[str, Any]) -> str:
    allowed = ", ".join(_literal(value) for value in kwargs["value_set"])
    return f"{quoted(kwargs['column'])} not in ({allowed})"


def _between(kwargs: Mapping[str, Any]) -> str:
    column = quoted(kwargs["column"])
    holds = []
    for bound, sign in (("min", ">"), ("max", "<")):
        if kwargs.get(f"{bound}_value") is not None:
            equal = "" if kwargs.get(f"strict_{bound}") else "="
            holds.append(f"{column} {sign}{equal} {_literal(kwargs[f'{bound}_value'])}")
    if not holds:
        raise ValueError("give min_value or max_value")
    return f"not ({' and '.join(holds)})"


def _match_regex(kwargs: Mapping[str, Any]) -> str:
    return f"not regexp_matches({quoted(kwargs['column'])}, {_literal(kwargs['regex'])})"


def _rows_query(kwargs: Mapping[str, Any]) -> str:
    found = ROWS_QUERY.match(kwargs["unexpected_rows_query"])
    if found is None:
        raise ValueError("unexpected_rows_query must be `select * from {batch} where ...`")
    return found["broken"].strip()


def _literal(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value)
    return literal(value)


_COMPILERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_null": _null,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_match_regex": _match_regex,
    "unexpected_rows_expectation": _rows_query,
}
