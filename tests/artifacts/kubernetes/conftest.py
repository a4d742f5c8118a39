"""What `make kubernetes-test` needs."""

from __future__ import annotations

import pytest

from tests.artifacts.kubernetes.kubectl import NEWEST, OLDEST, NotAvailable, find_kubectl


@pytest.fixture(scope="session")
def kubectls() -> tuple[str, str]:
    """The oldest and the newest kubectl; without them the whole run ends with one sentence."""
    try:
        return find_kubectl(OLDEST), find_kubectl(NEWEST)
    except NotAvailable as problem:
        pytest.exit(f"make kubernetes-test: {problem}", returncode=1)
