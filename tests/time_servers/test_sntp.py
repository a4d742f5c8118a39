"""Packets: what a request shows, which responses are trusted, and what they prove."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.time_servers.sntp import (
    InvalidAnswer,
    KissOfDeath,
    QueryFailed,
    QueryTimes,
    TimeAnswer,
    decode_answer,
    encode_request,
)
from tests.time_servers.packets import SECOND_NS, Reply, timestamp

NONCE = bytes(range(1, 9))
NOW_NS = int(datetime(2026, 11, 28, tzinfo=UTC).timestamp()) * SECOND_NS
STEADY_NS = 5_000 * SECOND_NS
TIMES = QueryTimes(STEADY_NS, STEADY_NS + 4_000_000, NOW_NS - STEADY_NS)
GOOD = Reply(NOW_NS + 1_000_000, NOW_NS + 1_500_000)


def decode(reply: Reply, times: QueryTimes = TIMES) -> TimeAnswer:
    return decode_answer(reply.packet(NONCE), NONCE, times)


def test_a_request_has_version_4_mode_3_and_nothing_of_this_host() -> None:
    assert encode_request(NONCE) == b"\x23" + bytes(39) + NONCE


def test_a_nonce_of_another_length_is_a_bug() -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        encode_request(b"short")


def test_an_answer_gives_the_offset_with_half_the_round_trip_as_its_error() -> None:
    answer = decode(GOOD)
    assert answer.round_trip_ns == pytest.approx(3_500_000, abs=4)
    middle_ns = answer.estimate.middle_ns - TIMES.unix_minus_steady_ns
    assert middle_ns == pytest.approx(-750_000, abs=4)  # (1 + (1.5 - 4)) / 2 ms
    assert answer.estimate.width_ns == pytest.approx(3_500_000, abs=1_000)
    assert answer.estimate.at_ns == TIMES.received_ns


def test_root_delay_and_root_dispersion_widen_the_interval() -> None:
    far = decode(GOOD._replace(root_delay=0.5, root_dispersion=0.25))
    assert (far.root_delay_ns, far.root_dispersion_ns) == (500_000_000, 250_000_000)
    assert far.estimate.width_ns - decode(GOOD).estimate.width_ns == 2 * 500_000_000


def test_a_coarse_clock_widens_the_interval() -> None:
    ticking = decode(GOOD._replace(precision=-6))  # 15.6 ms, as old Windows
    assert ticking.estimate.width_ns - decode(GOOD).estimate.width_ns == pytest.approx(
        2 * SECOND_NS / 64, abs=100
    )


def test_the_drift_of_clocks_during_a_long_query_widens_the_interval() -> None:
    packet, late = GOOD.packet(NONCE), TIMES._replace(received_ns=TIMES.received_ns + SECOND_NS)
    width_ns = decode_answer(packet, NONCE, late).estimate.width_ns
    one_ppm_ns = SECOND_NS // 1_000_000
    more_ns = SECOND_NS + 2 * 100 * one_ppm_ns
    assert width_ns - decode(GOOD).estimate.width_ns == pytest.approx(more_ns, abs=4)


def test_the_rest_of_the_header_is_reported() -> None:
    answer = decode(GOOD._replace(stratum=1, leap=1))
    assert (answer.stratum, answer.leap) == (1, 1)


def test_extension_fields_and_a_mac_are_ignored() -> None:
    packet = GOOD.packet(NONCE)
    assert decode_answer(packet + bytes(20), NONCE, TIMES) == decode_answer(packet, NONCE, TIMES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": 3}, "the response has mode 3, not 4 (server)"),
        ({"mode": 5}, "the response has mode 5, not 4 (server)"),
        ({"version": 2}, "the response has version 2, not 4"),
        ({"version": 5}, "the response has version 5, not 4"),
        ({"stratum": 17}, "the response has stratum 17, the highest is 16"),
        ({"stratum": 0, "reference_id": b"XFUN"}, "stratum 0 with the unknown code b'XFUN'"),
        ({"stratum": 0, "reference_id": b"INIT"}, "stratum 0 with the unknown code b'INIT'"),
        ({"precision": 1}, "the response has precision 1, the coarsest is 0 (1 s)"),
        ({"precision": 127}, "the response has precision 127, the coarsest is 0 (1 s)"),
        ({"sent_ns": NOW_NS + SECOND_NS}, "times are further apart than query and response"),
    ],
)
def test_a_response_that_no_server_sends_is_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidAnswer) as refused:
        decode(GOOD._replace(**change))  # type: ignore[arg-type]
    assert message in str(refused.value)


def test_version_3_is_accepted_as_every_client_does() -> None:
    assert decode(GOOD._replace(version=3)).stratum == GOOD.stratum


@pytest.mark.parametrize("length", [0, 1, 47])
def test_a_short_packet_is_refused(length: int) -> None:
    with pytest.raises(InvalidAnswer, match=f"has {length} bytes, not 48"):
        decode_answer(GOOD.packet(NONCE)[:length], NONCE, TIMES)


def test_a_timestamp_of_zero_is_refused() -> None:
    packet = GOOD.packet(NONCE)
    for zeroed in (packet[:40] + bytes(8), packet[:32] + bytes(8) + packet[40:]):
        with pytest.raises(InvalidAnswer, match="a timestamp is zero"):
            decode_answer(zeroed, NONCE, TIMES)


@given(st.binary(min_size=8, max_size=8).filter(lambda other: other != NONCE))
def test_a_response_to_another_request_is_refused(other: bytes) -> None:
    with pytest.raises(InvalidAnswer, match="wrong originate timestamp"):
        decode_answer(GOOD.packet(other), NONCE, TIMES)


@pytest.mark.parametrize("code", ["RATE", "DENY", "RSTR"])
def test_a_kiss_of_death_is_named(code: str) -> None:
    kiss = GOOD._replace(stratum=0, leap=3, reference_id=code.encode())
    with pytest.raises(KissOfDeath, match=code) as ended:
        decode(kiss)
    assert ended.value.code == code


def test_a_kiss_of_death_to_another_request_is_refused() -> None:
    kiss = GOOD._replace(stratum=0, leap=3, reference_id=b"DENY")
    with pytest.raises(InvalidAnswer, match="wrong originate timestamp"):
        decode_answer(kiss.packet(bytes(8)), NONCE, TIMES)


@pytest.mark.parametrize("reference_id", [bytes(4), b"INIT", b"STEP"], ids=repr)
def test_a_server_without_time_has_stratum_16_and_is_not_selectable(reference_id: bytes) -> None:
    answer = decode(GOOD._replace(stratum=0, leap=3, reference_id=reference_id))
    assert answer.stratum == 16
    assert not answer.is_selectable


@pytest.mark.parametrize(
    ("change", "selectable"),
    [
        ({}, True),
        ({"leap": 2}, True),
        ({"leap": 3}, False),
        ({"stratum": 1}, True),
        ({"stratum": 15}, True),
        ({"stratum": 16}, False),
        ({"root_dispersion": 2.99}, True),
        ({"root_dispersion": 3.01}, False),
        ({"root_dispersion": 10}, False),  # Windows on its own clock
        ({"root_delay": 5.9}, True),
        ({"root_delay": 6.1}, False),
    ],
)
def test_a_server_is_selectable_if_an_ntp_client_would_use_it(
    change: dict[str, int], *, selectable: bool
) -> None:
    assert decode(GOOD._replace(**change)).is_selectable is selectable  # type: ignore[arg-type]


@pytest.mark.parametrize("year", [1971, 2026, 2036, 2037, 2100, 2172, 2240])
@pytest.mark.parametrize("years_off", [-60, 0, 60])
def test_a_time_of_any_era_is_read_near_the_hosts_clock(year: int, years_off: int) -> None:
    host_ns = int(datetime(year, 2, 8, tzinfo=UTC).timestamp()) * SECOND_NS
    server_ns = host_ns + years_off * 365 * 86_400 * SECOND_NS
    times = TIMES._replace(unix_minus_steady_ns=host_ns - STEADY_NS)
    answer = decode(GOOD._replace(received_ns=server_ns, sent_ns=server_ns), times)
    offset_ns = answer.estimate.middle_ns - times.unix_minus_steady_ns
    assert offset_ns == pytest.approx(server_ns - host_ns, abs=2_001_000)


WAYS_NS = st.integers(0, 3 * SECOND_NS)


@given(
    offset_ns=st.integers(-(10**18), 10**18),
    there_ns=WAYS_NS,
    inside_ns=WAYS_NS,
    back_ns=WAYS_NS,
    precision=st.integers(-30, 0),
    stratum=st.integers(1, 15),
)
def test_the_interval_holds_the_servers_clock_however_slow_each_way_is(
    offset_ns: int, there_ns: int, inside_ns: int, back_ns: int, precision: int, stratum: int
) -> None:
    received_ns = NOW_NS + there_ns + offset_ns
    tick_ns = max(1, SECOND_NS >> -precision)
    reply = Reply(
        received_ns // tick_ns * tick_ns,
        (received_ns + inside_ns) // tick_ns * tick_ns,
        precision=precision,
        stratum=stratum,
    )
    times = TIMES._replace(received_ns=STEADY_NS + there_ns + inside_ns + back_ns)
    answer = decode(reply, times)
    theta_ns = offset_ns + times.unix_minus_steady_ns
    assert answer.estimate.low_ns <= theta_ns <= answer.estimate.high_ns
    slack_ns = 2 * tick_ns + (there_ns + inside_ns + back_ns) // 5_000 + 10
    assert answer.estimate.width_ns <= there_ns + back_ns + 2 * tick_ns + slack_ns


def outcome(packet: bytes) -> TimeAnswer | QueryFailed:
    try:
        return decode_answer(packet, NONCE, TIMES)
    except QueryFailed as error:
        return error


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_an_answer_or_a_named_error(body: bytes, ours: bool) -> None:  # noqa: FBT001
    result = outcome(body[:24] + NONCE + body[32:] if ours else body)
    if isinstance(result, QueryFailed):
        assert result.reason in {"invalid_response", "kiss_of_death"}
        assert str(result).isprintable()
    else:
        assert 1 <= result.stratum <= 16
        assert result.estimate.low_ns <= result.estimate.high_ns
        assert result.round_trip_ns >= 0


def test_the_test_packets_agree_with_a_known_timestamp() -> None:
    # RFC 5905, figure 4: 1 January 1970 is 2,208,988,800 s in era 0; era 1 begins in 2036.
    assert timestamp(0) == 2_208_988_800 << 32
    assert timestamp(int(datetime(2036, 2, 7, 6, 28, 16, tzinfo=UTC).timestamp()) * SECOND_NS) == 0
