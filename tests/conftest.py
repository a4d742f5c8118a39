"""Settings of all tests."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# The same examples in every run, so that CI never fails by chance. No deadlines: CI has two cores.
settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def log_settings_end_with_a_test() -> Iterator[None]:
    """Reset what a command has configured: it may leave out lines that another test expects."""
    yield
    structlog.reset_defaults()
