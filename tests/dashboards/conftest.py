"""One fleet, two daemons and one Prometheus for all tests that run queries."""

from collections.abc import Iterator

import pytest

from tests.dashboards.site import Site, dashboard_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with dashboard_site(tmp_path_factory.mktemp("site")) as running:
        yield running
