"""Pure functions on small tallies: no file, no clock, no orchestrator."""
