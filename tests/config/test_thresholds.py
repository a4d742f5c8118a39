"""The section `thresholds`."""

import pytest
import yaml

from exporter.config import dump_redacted
from tests.config.documents import load, problems

DEFAULTS = {
    "offset": {"warning": "100ms", "critical": "1s"},
    "skew": {"warning": "500ms", "critical": "2s"},
}


def test_a_key_that_is_not_set_has_its_default() -> None:
    thresholds = load("thresholds: {offset: {warning: 5ms}, skew: {critical: 1m}}").thresholds
    assert (thresholds.offset.warning, thresholds.offset.critical) == (0.005, 1)
    assert (thresholds.skew.warning, thresholds.skew.critical) == (0.5, 60)


@pytest.mark.parametrize("document", ["devices: []", f"thresholds: {DEFAULTS}"])
def test_the_config_is_shown_with_all_thresholds(document: str) -> None:
    assert yaml.safe_load(dump_redacted(load(document)))["thresholds"] == DEFAULTS


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ("{offset: {warning: 0s}}", "thresholds.offset.warning: must be longer than 0s"),
        ("{skew: {critical: 2}}", "thresholds.skew.critical: '2' is not a duration such as 30s"),
        (
            "{offset: {warning: 1s}}",
            "thresholds.offset: warning (1s) must be less than critical (1s)",
        ),
        (
            "{skew: {warning: 3s, critical: 2500ms}}",
            "thresholds.skew: warning (3s) must be less than critical (2s500ms)",
        ),
        ("{drift: {warning: 1s}}", "thresholds.drift: unknown key"),
        ("{skew: {warn: 1s}}", "thresholds.skew.warn: unknown key (did you mean warning?)"),
        ("{skew: 1s}", "thresholds.skew: must be a mapping"),
    ],
)
def test_an_error_has_its_path(section: str, found: str) -> None:
    [problem] = problems(f"thresholds: {section}")
    assert problem.startswith(found)
