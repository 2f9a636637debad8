"""Whatever is asked of an escalation in whatever order, its log and its clocks stay whole."""

from hypothesis import HealthCheck, settings

from tests.unit.desk_machine import Desk

TestAnEscalationStaysWhole = Desk.TestCase
TestAnEscalationStaysWhole.settings = settings(
    max_examples=500,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
