"""Search for a password in everything that a program has printed, in any spelling."""

import base64
import hashlib
import html
import itertools
import json
import urllib.parse

from exporter.simulator.fleet import SimulatedFleet

# Every encoding changes it: quotes, markup, a backslash, a space, non-ASCII.
PASSWORD = "S3cret-pa$$ \"quoted\" 'n' <b>&\\-\u00fc"
USERNAME = "root"


def secrets_of(password: str, fleets: list[SimulatedFleet]) -> dict[str, str]:
    """Return every spelling in which a password could be printed, by the name of the spelling."""
    pair = f"{USERNAME}:{password}".encode()
    forms = {
        "plain": password,
        "beginning": password[:8],
        "end": password[-8:],
        "repr": repr(password)[1:-1],
        "repr of bytes": repr(password.encode())[2:-1],
        "ascii": ascii(password)[1:-1],
        "ascii of ascii": ascii(ascii(password)[1:-1])[1:-1],
        "JSON": json.dumps(password)[1:-1],
        "JSON in UTF-8": json.dumps(password, ensure_ascii=False)[1:-1],
        "JSON of repr": json.dumps(repr(password)[1:-1])[1:-1],
        "HTML": html.escape(password),
        "in a URL": urllib.parse.quote(password),
        "in a URL, all of it": urllib.parse.quote(password, safe=""),
        "in a form": urllib.parse.quote_plus(password),
        "Basic": base64.b64encode(pair).decode(),
        # base64 encodes three bytes at a time, so there are three spellings within a longer text.
        "base64": base64.b64encode(password.encode())[:-4].decode(),
        "base64 after one byte": base64.b64encode(b"." + password.encode())[4:-4].decode(),
        "base64 after two bytes": base64.b64encode(b".." + password.encode())[4:-4].decode(),
        "hex": password.encode().hex(),
    }
    return forms | {f"HA1 {ha1}": ha1 for ha1 in ha1s(password, fleets)}


def ha1s(password: str, fleets: list[SimulatedFleet]) -> set[str]:
    """Return the H(A1) of RFC 7616, section 3.4.2: for Digest, as secret as the password."""
    realms = {device.login.realm for fleet in fleets for device in fleet.devices}
    secrets = [f"{USERNAME}:{realm}:{password}".encode() for realm in realms]
    hashes = [hashlib.md5, hashlib.sha256]
    return {h(secret).hexdigest() for h, secret in itertools.product(hashes, secrets)}


def assert_hidden(password: str, fleets: list[SimulatedFleet], output: str) -> None:
    shown = {name for name, form in secrets_of(password, fleets).items() if form in output}
    # Only the names of the spellings: a test report is a log too.
    assert not shown, f"shown: {sorted(shown)}"
