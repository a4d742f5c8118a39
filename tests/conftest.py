"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# The same examples in every run, so that CI never fails by chance. No deadlines: CI has two cores.
settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")
