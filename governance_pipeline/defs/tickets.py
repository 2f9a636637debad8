"""What a ticket tool says was done: asked for every five minutes, so that nobody needs a shell."""

import datetime as dt
import os

import dagster as dg

from governance_pipeline.adapters.announcing import announce
from governance_pipeline.adapters.escalating import open_desk
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.adapters.ticket_tool import BY_NAME, address_of, pull_transitions
from governance_pipeline.defs.resources import DeskAt

VARIABLE = "GOVERNANCE_TICKETS_URL"
"""Holds the address that is asked; without it there is no tool."""


def ticket_tool_sensor() -> dg.SensorDefinition:
    """Return the sensor that acts as a ticket tool says people acted."""

    @dg.sensor(
        name="ticket_tool",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Take the transitions that {VARIABLE} answers with, each once.",
    )
    def ticket_tool(desk: DeskAt) -> dg.SkipReason:
        if not os.environ.get(VARIABLE):
            return dg.SkipReason(f"{VARIABLE} is not set")
        known, now = open_desk(desk.settings.paths), dt.datetime.now(dt.UTC)
        with OpsStore(desk.settings.store_url) as store:
            address = address_of(f"{BY_NAME}{VARIABLE}") or ""
            taken = pull_transitions(store, known, address, now, announce)
        said = f"{taken.done} transitions taken, {taken.known} known already"
        return dg.SkipReason("; refused: ".join([said, *taken.refused]))

    return ticket_tool
