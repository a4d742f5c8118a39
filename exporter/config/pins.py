"""The `pins_file`: a YAML map of address to fingerprint, which `check --pin` writes."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from exporter.config.types import fingerprint_bytes
from exporter.config.yaml_loader import find_lines, parse_yaml
from exporter.system.addresses import canonical_host, split_address
from exporter.system.files import read_regular
from exporter.system.threads import computing

MAX_PINS: Final = 100_000
"""As many as a config may have devices."""

HTTPS_PORT: Final = 443

Place = tuple[str, int]
"""One spelling of an address: host and port."""


class Pins(NamedTuple):
    """The SHA-256 fingerprints of certificates, by address. `digest` is that of the file."""

    digest: bytes = b""
    fingerprints: Mapping[Place, bytes] = MappingProxyType({})

    def find(self, address: str) -> bytes | None:
        """Return the fingerprint that is pinned for an address, however it is spelled."""
        return self.fingerprints.get(place_of(address))

    def find_hex(self, address: str) -> str:
        """Return the same as 64 hex digits; `""` for none."""
        return (self.find(address) or b"").hex()


NO_PINS: Final = Pins()


def place_of(address: str) -> Place:
    """Return one spelling of a device's address. Raises `ValueError`."""
    host, port = split_address(address)
    return canonical_host(host), port or HTTPS_PORT


def read_pins(file: Path, before: Pins = NO_PINS) -> Pins:
    """Return the pins of a file, those of `before` if it is unchanged. Raises `ValueError`."""
    try:
        content = read_regular(file)
    except FileNotFoundError:
        raise ValueError(f"there is no {file}: `axis-ntp-exporter check --pin` writes it") from None
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    digest = sha256(content).digest()
    if digest == before.digest:
        return before
    try:
        return Pins(digest, _parse(content.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


@computing()
def _parse(text: str) -> Mapping[Place, bytes]:
    """Return the fingerprints by place. Raises `ValueError`, with the line where it knows it."""
    tree = parse_yaml(text, verbatim=True)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError("is not a map of address to fingerprint")  # noqa: TRY004 - a file's fault
    if len(tree) > MAX_PINS:
        raise ValueError(f"has more than {MAX_PINS:,} pins, which is the limit")
    pins: dict[Place, bytes] = {}
    for address, fingerprint in tree.items():
        try:
            _add(pins, address, fingerprint)
        except ValueError as problem:
            raise ValueError(f"{_where(text, address)}{address!r} {problem}") from None
    return pins


def _add(pins: dict[Place, bytes], address: str, fingerprint: object) -> None:
    place = place_of(address)
    if place in pins:
        raise ValueError("is the same address as an earlier one")
    if not isinstance(fingerprint, str):
        raise ValueError("has no fingerprint: 64 hex digits, with or without colons")  # noqa: TRY004
    pins[place] = fingerprint_bytes(fingerprint)


def _where(text: str, address: str) -> str:
    line = find_lines(text).get(address)
    return "" if line is None else f"line {line}: "


HEAD: Final = """\
# The certificates of devices, by address: the SHA-256 fingerprint of each.
# Written by `axis-ntp-exporter check --pin`. Remove a line to distrust a device.
"""
"""The text of a file without pins."""


def write_pins(text: str, new: Mapping[str, str]) -> str:
    """Return the text of a pins file with pins added or replaced; every other line stays.

    `new` has fingerprints (64 hex digits) by address. Raises `ValueError` for a file that
    `read_pins` refuses, and for one that does not have each pin on a line of its own.
    """
    by_place = {place_of(address): (address, pin) for address, pin in new.items()}
    replaced = {
        line
        for address, line in find_lines(text).items()
        if address and place_of(address) in by_place
    }
    lines = text.splitlines(keepends=True) if text.strip() else [HEAD]
    kept = [line for number, line in enumerate(lines, 1) if number not in replaced]
    if kept and not kept[-1].endswith(("\n", "\r")):
        kept.append("\n")
    added = [f"{json.dumps(address)}: {pin}\n" for address, pin in by_place.values()]
    written = "".join(kept + added)
    wanted = {place: bytes.fromhex(pin) for place, (_, pin) in by_place.items()}
    if not _is(written, {**_parse(text), **wanted}):
        raise ValueError("no pin can be added: write each on a line `address: fingerprint`")
    return written


def _is(text: str, pins: Mapping[Place, bytes]) -> bool:
    try:
        return _parse(text) == pins
    except ValueError:
        return False
