"""Which servers are in force, by the API's rules."""

import pytest

from exporter.vapix.reading import NtpClientReading

STATIC, ADVERTISED, NTS = ("10.0.0.1",), ("10.0.0.2", "10.0.0.3"), ("nts.example",)


def client(**fields: object) -> NtpClientReading:
    listed = {"static_servers": STATIC, "advertised_servers": ADVERTISED, "nts_ke_servers": NTS}
    return NtpClientReading(**{**listed, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "active"),
    [
        ({"nts_enabled": True, "servers_source": "static"}, NTS),
        ({"nts_enabled": True, "servers_source": None}, NTS),
        ({"nts_enabled": True, "nts_ke_servers": ()}, ()),
        ({"nts_enabled": True, "nts_ke_servers": None}, None),
        ({"nts_enabled": False, "servers_source": "static"}, STATIC),
        ({"nts_enabled": None, "servers_source": "static"}, STATIC),
        ({"servers_source": "static", "static_servers": None}, None),
        ({"servers_source": "dhcp"}, ADVERTISED),
        ({"servers_source": "dhcp", "advertised_servers": ()}, STATIC),
        ({"servers_source": "dhcp", "advertised_servers": (), "static_servers": ()}, ()),
        ({"servers_source": "dhcp", "advertised_servers": None}, None),
        ({"servers_source": None}, None),
        ({"servers_source": "ptp"}, None),
    ],
)
def test_the_servers_in_force_follow_the_rules_of_the_api(
    fields: dict[str, object], active: tuple[str, ...] | None
) -> None:
    assert client(**fields).active_servers == active


def test_exactly_the_list_in_force_is_marked_active() -> None:
    lists = client(servers_source="dhcp").server_lists()
    assert [(listed.source, listed.active) for listed in lists] == [
        ("static", False),
        ("advertised", True),
        ("nts_ke", False),
    ]


def test_a_list_that_was_not_reported_is_not_listed() -> None:
    lists = client(nts_ke_servers=None).server_lists()
    assert [listed.source for listed in lists] == ["static", "advertised"]


def test_unknown_poll_exponents_are_no_intervals() -> None:
    assert client().poll_interval_min_seconds is None
    assert client(maxpoll=0).poll_interval_max_seconds == 1
