"""Documents that are made from the code say what the code says."""

import re
from pathlib import Path

import pytest
from click import Context, Group
from click.testing import CliRunner

from governance_pipeline.adapters.catalogue import (
    ESCALATED,
    JUDGED,
    PUBLISHED_MARTS,
    data_dictionary,
    table_docs,
)
from governance_pipeline.cli import cli

ROOT = Path(__file__).parents[2]


def test_the_data_dictionary_is_the_one_that_the_code_makes() -> None:
    assert (ROOT / "docs" / "data-dictionary.md").read_text() == data_dictionary(), (
        "run `make docs`"
    )


def test_every_published_table_and_column_is_described() -> None:
    docs = table_docs()
    assert set(docs) == {*PUBLISHED_MARTS, *JUDGED, *ESCALATED}
    for name, doc in docs.items():
        assert doc.columns, name
        for column, meaning in doc.columns.items():
            assert len(meaning) > 4, f"{name}.{column}"


def commands(group: Group, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    context = Context(group)
    for name in group.list_commands(context):
        command, path = group.get_command(context, name), (*prefix, name)
        found += commands(command, path) if isinstance(command, Group) else [path]
    return found


@pytest.mark.parametrize("path", commands(cli), ids=" ".join)
def test_every_command_ends_its_help_with_an_example(path: tuple[str, ...]) -> None:
    helped = CliRunner().invoke(cli, [*path, "--help"])
    assert helped.exit_code == 0
    assert re.search(rf"^ +governance .*{path[-1]}", helped.output, re.MULTILINE), helped.output


@pytest.mark.parametrize("path", commands(cli), ids=" ".join)
def test_every_command_is_documented(path: tuple[str, ...]) -> None:
    guide = (ROOT / "README.md").read_text() + (ROOT / "docs" / "operating.md").read_text()
    assert f"governance {' '.join(path)}" in guide


def test_no_document_names_a_machine_or_a_registry_s_host() -> None:
    for file in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*"), *ROOT.glob("requirements*.lock")]:
        if file.is_file():
            assert not re.search(r"/work/|/root/|https?://\S+\.whl", file.read_text()), file
