"""Parse the challenges of a device's response (RFC 9110 section 11). No I/O.

The grammar of the RFC, and what browsers accept beyond it: words without quotes, and parameters
without commas. A device chooses the text, so its length and the number of challenges are limited.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from multidict import CIMultiDictProxy

MAX_CHARACTERS: Final = 4096
"""The most characters of a response's challenges that are parsed: ten times what devices send."""

MAX_CHALLENGES: Final = 32

# Possessive quantifiers (`++`) keep the time linear: they never try a shorter match.
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105 - a grammar rule, not a secret
_WORD: Final = r'[^\s",]++'
# Groups are not possessive: Debian 12's Python 3.11.2 matches such groups wrongly.
_WORDS: Final = rf"{_WORD}(?:[ \t]++(?!{_TOKEN}[ \t]*+=){_WORD})*"
_PART: Final = re.compile(
    rf'(?P<name>{_TOKEN})[ \t]*+=[ \t]*+(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_WORDS})?)'
    rf"|(?P<scheme>{_TOKEN})(?![ \t]*+=)"
)
_BETWEEN_PARTS: Final = re.compile(r"[\s,]*+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a 401 response; `scheme` and the names in `params` are in lower case."""

    scheme: str
    params: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return the challenges of all `WWW-Authenticate` headers (RFC 9110 section 11.6.1).

    One header may hold several challenges. Parts that are not valid are skipped.
    """
    kept, room = [], MAX_CHARACTERS
    for header in headers:
        room -= len(header)
        if room < 0:
            break
        kept.append(header)
    return _parse(tuple(kept))


@lru_cache(maxsize=64)  # the clock and the login parse the same headers
def _parse(headers: tuple[str, ...]) -> tuple[Challenge, ...]:
    challenges: list[tuple[str, dict[str, str]]] = []
    for part in (part for header in headers for part in _parts(header)):
        if part["scheme"] is not None:
            if len(challenges) == MAX_CHALLENGES:
                break
            challenges.append((part["scheme"].lower(), {}))
        elif challenges:
            quoted, plain = part["quoted"], part["plain"]
            value = (plain or "") if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            challenges[-1][1].setdefault(part["name"].lower(), value)
    return tuple(Challenge(scheme, params) for scheme, params in challenges)


def _parts(header: str) -> Iterable[re.Match[str]]:
    """Yield the schemes and parameters of a header; continue after a comma at what is neither."""
    position = 0
    while (between := _BETWEEN_PARTS.match(header, position)) and between.end() < len(header):
        if (part := _PART.match(header, between.end())) is not None:
            yield part
            position = part.end()
        else:
            comma = header.find(",", between.end())
            position = len(header) if comma < 0 else comma


def find_nonces(headers: CIMultiDictProxy[str]) -> tuple[str, ...]:
    """Return the nonces in a response: those of its challenges, or else the next nonce."""
    if "WWW-Authenticate" in headers:
        challenges = parse_challenges(headers.getall("WWW-Authenticate"))
        return tuple(each.params["nonce"] for each in challenges if "nonce" in each.params)
    return find_next_nonces(headers.get("Authentication-Info"))


def find_next_nonces(authentication_info: str | None) -> tuple[str, ...]:
    """Return the `nextnonce` of an `Authentication-Info` header (RFC 7616 section 3.5), if any."""
    if authentication_info is None or "nextnonce" not in authentication_info.lower():
        return ()
    # The header has a challenge's parameters, but no scheme.
    infos = parse_challenges((f"Info {authentication_info}",))
    return tuple(info.params["nextnonce"] for info in infos if "nextnonce" in info.params)
