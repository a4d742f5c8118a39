"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# The same examples every run: CI that fails by chance teaches nobody. No deadlines: two cores.
settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")
