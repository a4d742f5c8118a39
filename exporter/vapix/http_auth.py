"""HTTP authentication as Axis devices ask for it: read every challenge, answer the strongest.

RFC 9110 section 11 (challenges), RFC 7616 (Digest), RFC 7617 (Basic). Pure; no I/O. Why not
aiohttp's middleware: docs/decisions/0003-own-digest.md.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final, Literal

from multidict import CIMultiDictProxy

from exporter.vapix.errors import (
    NoAccount,
    NoCommonScheme,
    NonceAlwaysStale,
    Unauthorized,
    printable,
)

Policy = Literal["auto", "digest", "basic"]
"""Which schemes may be answered: `auto` is Digest, or Basic if the connection is secure."""

STALE_RETRIES: Final = 2
"""How often in one call a device may call a nonce of its own making stale."""

_HASHES: Final[dict[str, Callable[[bytes], hashlib._Hash]]] = {
    "sha-256": hashlib.sha256,
    # The devices' choice: without the flag a FIPS host would refuse it.
    "md5": partial(hashlib.md5, usedforsecurity=False),
}
"""Digest algorithms we answer, the strongest first; each also as a `-sess` variant."""

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - RFC 9110's word, no secret
_BETWEEN_COMMAS: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAM: Final = re.compile(
    rf'\s*(?:({_TOKEN})\s+)?({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))\s*'
)
_BARE_SCHEME: Final = re.compile(rf"\s*({_TOKEN})(?:\s+\S+)?\s*")


@dataclass(frozen=True, slots=True)
class DeviceCredentials:
    """An account on a device. Neither name nor password is in its `repr`."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge; `scheme` and the names in `params` are in lower case."""

    scheme: str
    params: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Every challenge of every `WWW-Authenticate` header, in their order.

    What does not read as a challenge is passed over; nothing is raised.
    """
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        for element in _BETWEEN_COMMAS.findall(header):
            _take_element(element, found)
    return [Challenge(scheme, params) for scheme, params in found]


def _take_element(element: str, found: list[tuple[str, dict[str, str]]]) -> None:
    if param := _PARAM.fullmatch(element):
        scheme, name, quoted, plain = param.groups()
        if scheme is not None:
            found.append((scheme.lower(), {}))
        if found:
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1].setdefault(name.lower(), value)
    elif bare := _BARE_SCHEME.fullmatch(element):
        found.append((bare[1].lower(), {}))


def nonces_of(headers: CIMultiDictProxy[str]) -> tuple[str, ...]:
    """Every nonce that an answer hands out: of its Digest challenges, or the next one."""
    if "WWW-Authenticate" in headers:
        challenges = parse_challenges(headers.getall("WWW-Authenticate"))
        return tuple(c.params["nonce"] for c in challenges if "nonce" in c.params)
    return _next_nonces(headers.get("Authentication-Info"))


def _next_nonces(authentication_info: str | None) -> tuple[str, ...]:
    if authentication_info is None or "nextnonce" not in authentication_info.lower():
        return ()
    # The header is a challenge's parameters without a scheme (RFC 7616 section 3.5).
    infos = parse_challenges([f"Info {authentication_info}"])
    return tuple(info.params["nextnonce"] for info in infos if "nextnonce" in info.params)


class DigestAuth:
    """The answers to one Digest challenge (RFC 7616 section 3.4), with its nonce reused.

    The client nonce stays the same for the challenge's life, as `-sess` algorithms need it,
    while the nonce count rises: each request hashes twice at most.
    """

    scheme: Final = "digest"

    __slots__ = ("_cnonce", "_count", "_fixed", "_hash", "_nonce", "_secret", "_with_qop")

    def __init__(
        self, challenge: Challenge, credentials: DeviceCredentials, cnonce: str | None = None
    ) -> None:
        params = challenge.params
        name = params.get("algorithm", "MD5").lower()
        self._hash = _HASHES[name.removesuffix("-sess")]
        self._nonce = params["nonce"]
        self._count = 0
        self._cnonce = cnonce or secrets.token_hex(8)
        self._with_qop = "qop" in params
        self._fixed = _fixed_fields(credentials, params)
        self._secret = self._h(f"{credentials.username}:{params['realm']}:{credentials.password}")
        if name.endswith("-sess"):
            self._secret = self._h(f"{self._secret}:{self._nonce}:{self._cnonce}")

    def authorization(self, method: str, uri: str) -> str:
        """The `Authorization` header of the next request; counts it against the nonce."""
        self._count += 1
        resource = _resource(self._hash, method, uri)
        fields = f'{self._fixed}, nonce="{_escape(self._nonce)}", uri="{uri}"'
        if not self._with_qop:
            response = self._h(f"{self._secret}:{self._nonce}:{resource}")
            return f'{fields}, response="{response}"'
        count = f"{self._count:08x}"
        response = self._h(f"{self._secret}:{self._nonce}:{count}:{self._cnonce}:auth:{resource}")
        return f'{fields}, qop=auth, nc={count}, cnonce="{self._cnonce}", response="{response}"'

    def renew(self, nonce: str) -> None:
        """Go on with the nonce that the device announced (`nextnonce`, section 3.5)."""
        self._nonce = nonce
        self._count = 0

    def _h(self, text: str) -> str:
        return self._hash(text.encode()).hexdigest()


@lru_cache(maxsize=16)  # there is one resource, and two algorithms
def _resource(algorithm: Callable[[bytes], hashlib._Hash], method: str, uri: str) -> str:
    """What RFC 7616 calls H(A2)."""
    return algorithm(f"{method}:{uri}".encode()).hexdigest()


class BasicAuth:
    """The answer to a Basic challenge (RFC 7617), in UTF-8."""

    scheme: Final = "basic"

    __slots__ = ("_authorization",)

    def __init__(self, credentials: DeviceCredentials) -> None:
        pair = f"{credentials.username}:{credentials.password}"
        self._authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"

    def authorization(self, _method: str, _uri: str) -> str:
        """The `Authorization` header, the same for every request."""
        return self._authorization

    def renew(self, nonce: str) -> None:
        """Nothing: Basic has no nonce."""


class Authenticator:
    """What one device asked for and how it is answered, remembered between its polls.

    `secure` tells that the connection is TLS: without it Basic is never answered, whatever
    the policy. Not shared between devices: the password of one is never sent to another.
    """

    __slots__ = ("_answers", "_credentials", "_policy", "_secure")

    def __init__(
        self, policy: Policy, credentials: DeviceCredentials | None, *, secure: bool
    ) -> None:
        self._policy = policy
        self._credentials = credentials
        self._secure = secure
        self._answers: DigestAuth | BasicAuth | None = None
        self.forget()

    def forget(self) -> None:
        """Start anew: wait for a challenge, unless Basic is prescribed and allowed."""
        self._answers = None
        if self._policy == "basic" and self._secure and self._credentials is not None:
            self._answers = BasicAuth(self._credentials)

    @property
    def scheme(self) -> str | None:
        """The scheme in use, `digest` or `basic`; `None` before any."""
        return None if self._answers is None else self._answers.scheme

    def authorization(self, method: str, uri: str) -> str | None:
        """The `Authorization` header to send now; `None` while nothing asked for one."""
        return None if self._answers is None else self._answers.authorization(method, uri)

    def accepted(self, authentication_info: str | None) -> None:
        """Take the next nonce, if an answer's `Authentication-Info` announces one."""
        for nonce in _next_nonces(authentication_info):
            if self._answers is not None and nonce and _is_sendable(nonce):
                self._answers.renew(nonce)

    def refused(self, www_authenticate: Sequence[str], refusals: int) -> None:
        """Take up the challenges of a 401, so that the request can be sent again.

        `refusals` counts the 401s of this call. The first may be the challenge itself or the
        death of a nonce; after that only `stale=true` says that the password is fine.
        Raises `Unauthorized`, saying why, when sending again would be pointless.
        """
        before = self._answers
        self.forget()
        challenges = parse_challenges(www_authenticate)
        if self._credentials is None:
            raise NoAccount("HTTP 401: the device asks for a password, none is configured", 401)
        chosen = self._choose(challenges)
        if chosen is None:
            raise NoCommonScheme(f"HTTP 401: {self._why_none(challenges)}", 401)
        if refusals > 1:
            self._raise_unless_stale(chosen, refusals)
        if chosen.scheme == "basic" and before is not None and before.scheme == "basic":
            raise Unauthorized("HTTP 401: the device refused the username or password", 401)
        self._answers = self._answers_to(chosen, self._credentials)

    @staticmethod
    def _raise_unless_stale(chosen: Challenge, refusals: int) -> None:
        if chosen.params.get("stale", "").lower() != "true":
            raise Unauthorized("HTTP 401: the device refused the username or password", 401)
        if refusals > STALE_RETRIES:
            problem = "the device takes the password but calls every nonce of its own stale"
            raise NonceAlwaysStale(f"HTTP 401: {problem}", 401)

    @staticmethod
    def _answers_to(chosen: Challenge, credentials: DeviceCredentials) -> DigestAuth | BasicAuth:
        if chosen.scheme == "digest":
            return DigestAuth(chosen, credentials)
        return BasicAuth(credentials)

    def _choose(self, challenges: list[Challenge]) -> Challenge | None:
        """The strongest challenge that policy and connection allow to answer."""
        digests = [c for c in challenges if _digest_rank(c) is not None]
        if digests and self._policy != "basic":
            return min(digests, key=lambda c: _digest_rank(c) or 0)
        if self._secure and self._policy != "digest":
            return next((c for c in challenges if c.scheme == "basic"), None)
        return None

    def _why_none(self, challenges: list[Challenge]) -> str:
        offered = {challenge.scheme for challenge in challenges}
        if not offered:
            return "the device says not how to authenticate"
        if "basic" in offered and not self._secure and self._policy != "digest":
            return (
                "the device offers only Basic, never answered over plain HTTP since it shows "
                "the password: use scheme https, or switch the device to Digest"
            )
        names = ", ".join(sorted(printable(scheme) for scheme in offered))
        return f"the device offers {names}, of which auth.scheme {self._policy} can answer none"


def _digest_rank(challenge: Challenge) -> int | None:
    """0 for the strongest algorithm; `None` for a challenge that cannot be answered."""
    params = challenge.params
    algorithm = params.get("algorithm", "MD5").lower().removesuffix("-sess")
    qops = [qop.strip().lower() for qop in params.get("qop", "auth").split(",")]
    answerable = (
        challenge.scheme == "digest"
        and "realm" in params
        and bool(params.get("nonce"))
        and algorithm in _HASHES
        and "auth" in qops
        and all(_is_sendable(value) for value in params.values())
    )
    return list(_HASHES).index(algorithm) if answerable else None


def _is_sendable(text: str) -> bool:
    # Bytes that are no UTF-8 arrive as lone surrogates and cannot be sent back.
    return text.isprintable()


def _fixed_fields(credentials: DeviceCredentials, params: Mapping[str, str]) -> str:
    fields = [f'Digest username="{_escape(credentials.username)}"']
    fields.append(f'realm="{_escape(params["realm"])}"')
    if "algorithm" in params:
        fields.append(f"algorithm={params['algorithm']}")
    if "opaque" in params:
        fields.append(f'opaque="{_escape(params["opaque"])}"')
    return ", ".join(fields)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
