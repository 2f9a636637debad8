"""A data pipeline that governs the traffic strategies of a marketplace."""
