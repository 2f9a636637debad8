"""The table of contents: what Dagster loads, for the home that `GOVERNANCE_HOME` names.

Stages in order: landing, registry, quality, staging, intermediate, marts, accuracy, strategies,
publish. The register shown is the last one that was applied; an invalid file never breaks the
code location, it fails the check `registry_is_valid`.
"""

from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.adapters.registry_store import last_applied
from governance_pipeline.defs.build import build_definitions
from governance_pipeline.settings import Settings

_settings = Settings()

defs = build_definitions(
    _settings,
    load_sources(_settings.paths.governance_yaml).calendar,
    last_applied(_settings.paths.lake),
)
