"""What long work says while it goes on; the command line shows it, Dagster logs it."""

import logging

_LOGGER = logging.getLogger("governance_pipeline.progress")


def say(message: str) -> None:
    """Tell whoever watches what is being done now."""
    _LOGGER.info(message)
