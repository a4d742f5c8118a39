"""Settings of all tests."""

import gc
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# The same examples in every run, so that CI never fails by chance. No deadlines: CI has two cores.
settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def log_settings_end_with_a_test() -> Iterator[None]:
    """Reset what a command has configured: it may leave out lines that another test expects."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def signal_handlers_end_with_a_test() -> Iterator[None]:
    """Restore them: a command ignores signals at its end, and later programs would inherit that."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    yield
    for number, handler in before.items():
        if handler is not signal.getsignal(number):
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def frozen_objects_end_with_a_test() -> Iterator[None]:
    """Undo what a daemon in this process did: hypothesis must find what refers to its objects."""
    yield
    gc.unfreeze()
