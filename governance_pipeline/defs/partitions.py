"""The one calendar of the pipeline: a partition is a delivery date in UTC."""

import datetime as dt

import dagster as dg


def daily(start: dt.date, end: dt.date | None) -> dg.DailyPartitionsDefinition:
    """Delivery dates from `start` to `end`, or to yesterday where no end is set.

    A calendar with an end keeps the page free of days that will never come.
    """
    stop = None if end is None else (end + dt.timedelta(days=1)).isoformat()
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_date=stop)
