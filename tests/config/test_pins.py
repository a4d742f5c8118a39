"""The file of pinned certificates: how it is read, and how `check --pin` changes it."""

from pathlib import Path

import pytest

from exporter.config.pins import MAX_PINS, NO_PINS, read_pins, write_pins
from tests.config.documents import problems

A, B, C = "ab" * 32, "cd" * 32, "ef" * 32


def read(text: str, folder: Path) -> dict[str, str | None]:
    """Return what is pinned for some addresses."""
    (folder / "pins.yaml").write_text(text)
    pins = read_pins(folder / "pins.yaml")
    addresses = ["192.168.0.90", "192.168.0.90:443", "192.168.0.91:8443", "[fe80::1]", "CAM"]
    found = {address: pins.find(address) for address in addresses}
    return {address: None if pin is None else pin.hex() for address, pin in found.items()}


def test_pins_are_found_by_address_however_it_is_spelled(tmp_path: Path) -> None:
    colons = ":".join(["AB"] * 32)
    text = f"192.168.0.90: {colons}\n'192.168.0.91:8443': {B}\n'fe80:0::1': {C}\ncam.: {A}\n"
    assert read(text, tmp_path) == {
        "192.168.0.90": A,
        "192.168.0.90:443": A,
        "192.168.0.91:8443": B,
        "[fe80::1]": C,
        "CAM": A,
    }


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_empty_file_pins_nothing(text: str, tmp_path: Path) -> None:
    assert set(read(text, tmp_path).values()) == {None}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a]", "is not a map of address to fingerprint"),
        ("a: [b]", "line 1: 'a' has no fingerprint: 64 hex digits, with or without colons"),
        ("a:", "line 1: 'a' has no fingerprint: 64 hex digits, with or without colons"),
        (
            f"a: {A}\nb: {A}00",
            "line 2: 'b' is not a SHA-256 fingerprint: 64 hex digits, with or without colons",
        ),
        (f"a: {A}\na:443: {B}", "line 2: 'a:443' is the same address as an earlier one"),
        (f"a: {A}\na: {A}", "line 2, column 1: duplicate key 'a'"),
        ("a/b: x", "line 1: 'a/b' "),
        ("{", "line 2, column 1: did not find"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(
    text: str, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "pins.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"pins\.yaml") as caught:
        read_pins(file)
    assert str(caught.value).startswith(f"{file}: {problem}"), str(caught.value)


def test_a_file_has_a_largest_number_of_pins(tmp_path: Path) -> None:
    file = tmp_path / "pins.yaml"
    file.write_text("".join(f"c{number}: {A}\n" for number in range(MAX_PINS + 1)))
    with pytest.raises(ValueError, match="more than 100,000 pins"):
        read_pins(file)


def test_an_unchanged_file_is_not_parsed_again(tmp_path: Path) -> None:
    file = tmp_path / "pins.yaml"
    file.write_text(f"a: {A}")
    before = read_pins(file)
    assert read_pins(file, before) is before
    file.write_text(f"a: {B}")
    assert read_pins(file, before) != before


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        ("{pins_file: missing}", "there is no {folder}/missing: `axis-ntp-exporter check --pin`"),
        ("{pins_file: broken}", "{folder}/broken: line 1: 'a' is not a SHA-256 fingerprint"),
    ],
)
def test_a_pins_file_that_cannot_be_used_is_an_error_of_the_config(
    tls: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "broken").write_text("a: b")
    [found] = problems(f"modules: {{m: {{tls_config: {tls}}}}}", tmp_path)
    assert found.startswith(f"modules.m.tls_config.pins_file: {problem.format(folder=tmp_path)}")


@pytest.mark.parametrize(
    "other", ["ca_file: ca", f"fingerprint_sha256: {A}", "insecure_skip_verify: true"]
)
def test_nothing_else_may_be_trusted_beside_a_pins_file(other: str, tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("")
    (tmp_path / "ca").write_text("")
    found = problems(f"modules: {{m: {{tls_config: {{pins_file: pins, {other}}}}}}}", tmp_path)
    key = other.partition(":")[0]
    assert any(
        f"pins_file says which certificates are trusted: remove {key}" in each for each in found
    )


@pytest.mark.parametrize("pin", ["pins_file: pins", f"fingerprint_sha256: {A}"])
def test_pins_of_a_module_need_https(pin: str, tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("")
    [found] = problems(f"modules: {{m: {{scheme: http, tls_config: {{{pin}}}}}}}", tmp_path)
    assert found == "modules.m: pinned certificates need scheme https: plain HTTP has none"


def test_a_pin_needs_https(tmp_path: Path) -> None:
    [found] = problems(
        "modules: {m: {scheme: http}}\n"
        f"devices: [{{address: a, module: m, fingerprint_sha256: '{A}'}}]",
        tmp_path,
    )
    assert found == (
        "devices[0].fingerprint_sha256: module 'm' has `scheme: http`: there is no certificate"
    )


def test_pins_are_added_and_every_other_line_stays() -> None:
    text = f"# my notes\n192.168.0.90: {A}  # lobby\n\n'192.168.0.91:443': {A}\n"
    written = write_pins(text, {"192.168.0.91": B, "[fe80::1]:8443": C})
    assert written == (
        f'# my notes\n192.168.0.90: {A}  # lobby\n\n"192.168.0.91": {B}\n"[fe80::1]:8443": {C}\n'
    )


def test_the_first_pins_have_a_comment_above_them() -> None:
    written = write_pins("", {"a": A})
    assert written.startswith("# ")
    assert written.endswith(f'\n"a": {A}\n')
    assert write_pins(written, {"b": B}) == f'{written}"b": {B}\n'


@pytest.mark.parametrize(
    "text",
    [
        f"{{a: {A}, b: {A}}}",
        f"a:\n  {A}\nb: {A}",
        f"? a\n: {A}\n? b\n: {A}\n",
        f"  b: {A}\n",
        f"b: {A}\n...\n",
    ],
)
def test_a_file_of_another_form_is_refused_and_nothing_is_lost(text: str) -> None:
    with pytest.raises(ValueError, match="write each on a line `address: fingerprint`"):
        write_pins(text, {"a": B, "c": C})


def test_one_address_in_two_spellings_is_written_once() -> None:
    text = f"# SITE\r\na: {A}\r\n# spare"
    written = write_pins(text, {"A.:443": B, "a": B})
    assert written == f'# SITE\r\n# spare\n"a": {B}\n'


def test_a_file_that_cannot_be_read_is_not_changed() -> None:
    with pytest.raises(ValueError, match="not a SHA-256 fingerprint"):
        write_pins("a: b", {"c": C})


def test_without_a_file_nothing_is_pinned() -> None:
    assert NO_PINS.find("192.168.0.90") is None
