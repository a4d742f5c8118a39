"""Many devices in pieces: each family once, each device as of one moment."""

from exporter.clock.http_time import ResponseTimes
from exporter.clock.offset import SECOND_NS
from exporter.metrics.catalogue import DEVICE_METRICS
from exporter.metrics.exposition import BLOCK_DEVICES, Exposition
from exporter.vapix.errors import PollTimeout
from tests.support.devices import outcome
from tests.support.exposed_devices import (
    CLIENT,
    NOW,
    device,
    exposed,
    read,
)

MANY = 2 * BLOCK_DEVICES + 1


def test_a_fleet_of_many_pieces_has_each_family_once_and_every_device() -> None:
    devices = [device(read(CLIENT), name=f"camera-{n}") for n in range(BLOCK_DEVICES * 2 + 1)]
    text = exposed(*devices)
    assert text.count("# TYPE axis_ntp_up gauge\n") == 1
    assert text.count("\naxis_ntp_up{") == len(devices)


def test_a_poll_during_a_scrape_does_not_change_that_scrape() -> None:
    subject = device(read(CLIENT))
    exposition = Exposition()
    exposition.refresh(subject)
    pieces = exposition.pieces(NOW, openmetrics=False, form=bytes)
    first = next(pieces) + next(pieces)
    subject.state.record(outcome(2000.0, 0.25, PollTimeout("late")))
    exposition.refresh(subject)
    text = (first + b"".join(pieces)).decode()
    assert 'axis_ntp_up{device="lobby"} 1.0' in text
    assert 'axis_ntp_polls_total{device="lobby"} 1.0' in text
    assert "axis_ntp_last_error" not in text


def test_each_of_many_devices_is_shown_as_it_was_at_one_moment() -> None:
    seen = ResponseTimes(0, 1, "Thu, 01 Jan 1970 00:16:40 GMT")
    exposition, devices = Exposition(), [device(name=f"d{n}") for n in range(MANY)]
    for each in devices:
        each.state.record(outcome(1000.0, 0.25, read(CLIENT), responses=(seen,)))
        exposition.refresh(each)
    pieces = exposition.pieces(NOW, openmetrics=False, form=bytes)
    text = next(pieces)
    devices[-1].state.record(outcome(2000.0, 0.25, PollTimeout("late")))
    exposition.refresh(devices[-1])
    lines = [
        line for line in (text + b"".join(pieces)).decode().splitlines() if f'"d{MANY - 1}"' in line
    ]
    shown_down = any(line.startswith("axis_ntp_up{") and line.endswith(" 0.0") for line in lines)
    shown_clock = any(line.startswith("axis_ntp_clock_offset_seconds{") for line in lines)
    assert shown_down is not shown_clock


def test_a_piece_has_at_most_one_block_of_devices() -> None:
    exposition = Exposition()
    for number in range(MANY):
        exposition.refresh(device(read(CLIENT), name=f"d{number}"))
    pieces = [*exposition.pieces(NOW, openmetrics=False, form=bytes)]
    assert max(piece.count(b'{device="') for piece in pieces) <= 3 * 1000
    assert len(pieces) > MANY / 1000 * len(DEVICE_METRICS) / 2


def test_offset_and_uncertainty_belong_together_even_with_polls_between_pieces() -> None:
    subject = device()
    seen = ResponseTimes(0, 1, "Thu, 01 Jan 1970 00:16:40 GMT")
    subject.state.record(outcome(1000.0, 0.25, read(CLIENT), responses=(seen,)))
    exposition = Exposition()
    exposition.refresh(subject)
    at_once = b"".join(exposition.pieces(NOW, openmetrics=False, form=bytes)).decode()
    text = ""
    for number, piece in enumerate(exposition.pieces(NOW, openmetrics=False, form=bytes)):
        text += piece.decode()
        later = ResponseTimes(number * SECOND_NS, number * SECOND_NS + 1, "nonsense")
        subject.state.record(
            outcome(1060.0, 0.25, PollTimeout("late"), responses=(later,) * (number % 2))
        )
    assert [line for line in text.splitlines() if "clock_offset" in line] == [
        line for line in at_once.splitlines() if "clock_offset" in line
    ]
