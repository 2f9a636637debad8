"""Variables of the environment in governance.yaml: filled in late, and never shown."""

import os
import re
from collections.abc import Sequence

from governance_pipeline.errors import SourceError

VARIABLE = re.compile(r"\$\{(\w+)\}")
# Anything between a colon and the @ of an address, or after `password=`, but for a variable.
WRITTEN_SECRET = re.compile(
    r"://[^/?#@\s]*:(?!\$\{\w+\}@)[^@/\s]+@|\b(?:password|secret|token)=(?!\$\{\w+\})[^&\s]",
    re.IGNORECASE,
)
USER = re.compile(r"(?<=://)[^/@]*@")


def filled(template: str) -> str:
    """Return a text with its `${VARIABLES}` filled in from the environment.

    Raises:
        SourceError: If one of them is not set, naming it.
    """
    missing = sorted({n for n in VARIABLE.findall(template) if not os.environ.get(n)})
    if missing:
        raise SourceError(
            f"{template} needs the variable {', '.join(missing)}, which is not set; set it where"
            " the pipeline runs"
        )
    return os.path.expandvars(template)


def hidden(text: object, templates: Sequence[str]) -> str:
    """Return a text as the first line of it, with the values of the templates' variables hidden."""
    said = str(text).strip().splitlines()[0] if str(text).strip() else type(text).__name__
    for template in templates:
        for name in VARIABLE.findall(template):
            value = os.environ.get(name)
            said = said.replace(value, f"${{{name}}}") if value else said
    return USER.sub("", said)


def holds_a_secret(template: str) -> bool:
    """Say whether a password is written in an address instead of being left to the environment.

    >>> holds_a_secret("postgresql://reader:hunter2@db/logs")
    True
    >>> holds_a_secret("postgresql://reader:${LOGS_PASSWORD}@db/logs")
    False
    """
    return WRITTEN_SECRET.search(template) is not None
