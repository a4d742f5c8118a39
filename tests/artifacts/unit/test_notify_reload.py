"""The unit under systemd of Debian 13, where `systemctl reload` can wait for the new config."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.artifacts.container import Container
from tests.artifacts.debian import TRIXIE
from tests.artifacts.installed import (
    CONFIG,
    UNIT,
    add_drop_in,
    block,
    config,
    container,
    install,
    install_unit,
    metrics,
    start_cameras,
    wait_for_metric,
)


@pytest.fixture(scope="module")
def service() -> Iterator[Container]:
    """A Debian 13 in which root with umask 022 has followed the page, drop-in included."""
    with container(TRIXIE) as running:
        install(running, umask="022")
        start_cameras(running)
        install_unit(running, umask="022")
        wait_for_metric(running, "axis_ntp_up{…} 1.0", 3)
        add_drop_in(running, block("systemd", "[Service]\nType=notify-reload"))
        running.sh(f"systemctl restart {UNIT}")
        yield running


def test_a_reload_returns_when_the_new_config_is_in_force(service: Container) -> None:
    assert service.properties(UNIT, "Type") == {"Type": "notify-reload"}
    for devices in (1, 2, 3):
        service.write(CONFIG, config(devices))
        service.sh(f"systemctl reload {UNIT}")
        assert f"axis_ntp_exporter_devices {devices}.0" in metrics(service)
    assert service.journal(UNIT).count("event=config.reloaded") == 3


def test_an_invalid_config_ends_the_reload_and_keeps_the_old_one(service: Container) -> None:
    service.write(CONFIG, config(2))
    service.sh(f"systemctl reload {UNIT}")
    service.write(CONFIG, "devices: 7\n")
    service.sh(f"systemctl reload {UNIT}", ok=False)
    shown = metrics(service)
    assert "axis_ntp_exporter_devices 2.0" in shown
    assert "axis_ntp_exporter_config_last_reload_successful 0.0" in shown
    assert service.properties(UNIT, "ActiveState") == {"ActiveState": "active"}
