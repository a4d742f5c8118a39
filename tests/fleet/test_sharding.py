"""Several exporters divide one config."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.fleet.sharding import ALL_DEVICES, Shard, parse_shard
from exporter.polling.schedule import stable_hash


@given(st.text(min_size=1), st.integers(1, 50))
def test_every_device_is_owned_by_exactly_one_shard(name: str, count: int) -> None:
    owners = [index for index in range(count) if Shard(index, count).owns(name)]
    assert owners == [stable_hash(name) % count]


@pytest.mark.parametrize(("name", "of_thousand"), [("baz", 976), ("foo\nbar", 734)])
def test_a_device_has_the_shard_that_prometheus_hashmod_gives_it(
    name: str, of_thousand: int
) -> None:
    # The values are those from Prometheus's own tests of relabelling.
    assert stable_hash(name) % 1000 == of_thousand
    assert Shard(of_thousand, 1000).owns(name)


def test_shards_have_about_the_same_size() -> None:
    names = [f"camera-{n}" for n in range(10_000)]
    sizes = [sum(Shard(index, 4).owns(name) for name in names) for index in range(4)]
    assert sum(sizes) == 10_000
    assert all(2300 < size < 2700 for size in sizes)


def test_a_single_instance_owns_every_device() -> None:
    assert ALL_DEVICES.owns("lobby")
    assert parse_shard(str(ALL_DEVICES)) == ALL_DEVICES


def test_a_shard_is_written_as_index_and_count() -> None:
    assert parse_shard("2/3") == Shard(2, 3)


@pytest.mark.parametrize(
    "text",
    ["", "1", "3/3", "0/0", "-1/2", "1/2/3", "a/b", " 0/1", "0/1 ", "\u0660/\u0661", "0/10000000"],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not a shard: use I/N .* such as 0/3"):
        parse_shard(text)
