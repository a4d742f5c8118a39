from tests.simulator.conftest import Bench, BenchMaker


def at_next_sync(bench: Bench) -> None:
    bench.host.advance(bench.client()["timeToNextSync"] + 1)


def test_time_to_next_sync_counts_down_and_restarts(bench: Bench) -> None:
    first = bench.client()["timeToNextSync"]
    bench.host.advance(2)
    assert bench.client()["timeToNextSync"] in {first - 2, first + 62}
    at_next_sync(bench)
    assert bench.client()["timeToNextSync"] >= 62


def test_time_offset_changes_only_at_a_sync(make_bench: BenchMaker) -> None:
    bench = make_bench(drift_ppm=100)
    at_next_sync(bench)
    first = bench.client()["timeOffset"]
    bench.host.advance(60)
    assert bench.client()["timeOffset"] == first
    bench.host.advance(64)
    assert 6 < bench.client()["timeOffset"] - first < 13.2


def test_time_offset_is_in_milliseconds(make_bench: BenchMaker) -> None:
    assert abs(make_bench(offset_seconds=-0.25).client()["timeOffset"] + 250) < 0.1


def test_syncs_without_requests_are_made_up_for(bench: Bench) -> None:
    bench.client()
    bench.device.clock.step(1)
    bench.host.advance(86_400)
    client = bench.client()
    assert 999 < client["timeOffset"] < 1001
    assert 0 <= client["timeToNextSync"] < 64


def test_the_poll_interval_follows_minpoll(bench: Bench) -> None:
    bench.set(minpoll=10, maxpoll=10)
    bench.host.advance(24)
    assert bench.client()["timeToNextSync"] == 1_000


def test_a_change_of_settings_synchronizes_at_once(bench: Bench) -> None:
    bench.client()
    bench.device.clock.step(1)
    bench.set(enabled=True)
    assert bench.client()["timeOffset"] > 999


def test_a_disabled_client_stays_synced_but_has_no_next_sync(bench: Bench) -> None:
    before = bench.client()
    bench.set(enabled=False)
    bench.host.advance(1_000)
    after = bench.client()
    assert (after["synced"], after["timeToNextSync"]) == (True, 0)
    assert after["timeOffset"] == before["timeOffset"]


def test_dhcp_falls_back_to_static_servers(bench: Bench) -> None:
    configuration = bench.device.client.configuration
    bench.set(serversSource="DHCP")
    assert configuration.active_servers() == configuration.static_servers
    configuration.advertised_servers = ["192.0.2.9"]
    assert configuration.active_servers() == ["192.0.2.9"]


def test_nts_uses_only_its_own_servers(bench: Bench) -> None:
    bench.set(NTSEnabled=True)
    assert bench.device.client.configuration.active_servers() == []
    assert bench.client()["timeToNextSync"] == 0
    bench.set(staticNTSKEServers=["ntske.example.com"])
    assert bench.client()["timeToNextSync"] > 0
