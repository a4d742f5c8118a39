"""Whatever arrives from outside is parsed or refused with an error of ours, and stays in bounds.

Every run tries the same inputs, so that it fails by a change and not by chance. `make fuzz` tries
new ones for as long as wanted, guided by coverage.
"""

import pytest

from tests.fuzz.found import FOUND, Found
from tests.fuzz.mutate import fuzz_with_hypothesis
from tests.fuzz.target import FuzzTarget
from tests.fuzz.targets import TARGETS
from tests.support.log_lines import log_to, logging_put_back

SECONDS = 3


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_shows_a_defect(target: FuzzTarget) -> None:
    with logging_put_back():
        log_to("error")
        for seed in target.seeds:
            target.check(seed)
        assert fuzz_with_hypothesis(target, SECONDS, first_seed=0) > 0


@pytest.mark.parametrize("found", FOUND, ids=lambda found: f"{found.target}: {found.defect}")
def test_an_input_that_showed_a_defect_no_longer_does(found: Found) -> None:
    (target,) = (each for each in TARGETS if each.name == found.target)
    target.check(found.data)


def test_every_target_has_its_own_name_and_seeds() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)
    assert all(target.seeds for target in TARGETS)
