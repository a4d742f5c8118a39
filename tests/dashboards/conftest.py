"""One fleet, two daemons and one Prometheus for all tests of queries."""

from collections.abc import Iterator

import pytest

from tests.dashboards.site import Site, running_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running
