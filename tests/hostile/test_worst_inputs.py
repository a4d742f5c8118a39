"""Everything that is parsed from outside costs little, however bad it is."""

import pytest

from tests.hostile.worst_inputs import LIMIT_MS, WorstInput, cpu_ms, worst_inputs


@pytest.mark.parametrize("row", list(worst_inputs()), ids=lambda row: row.what)
def test_the_worst_input_within_its_limit_costs_less_than_100_ms(row: WorstInput) -> None:
    assert cpu_ms(row.work) < LIMIT_MS
