"""HTTP authentication: answer the strongest of a device's challenges. No I/O.

RFC 7616 (Digest), RFC 7617 (Basic). Why not aiohttp's middleware: docs/decisions/0003.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from html import escape
from typing import Final, Literal
from urllib.parse import quote, quote_plus

from exporter.vapix.challenges import Challenge, find_next_nonces, parse_challenges
from exporter.vapix.errors import (
    NoAccount,
    NoCommonScheme,
    NonceAlwaysStale,
    Unauthorized,
    printable,
)

Policy = Literal["auto", "digest", "basic"]
"""Which schemes may be used; `auto` is Digest, or Basic over TLS if there is no Digest."""

STALE_RETRIES: Final = 2
"""How often in one call a device may refuse its own nonce as stale."""

_HASHES: Final[dict[str, Callable[[bytes], "hashlib._Hash"]]] = {
    "sha-256": hashlib.sha256,
    # Without the flag, a host in FIPS mode would refuse MD5, which most devices use.
    "md5": partial(hashlib.md5, usedforsecurity=False),
}
"""The supported Digest algorithms, strongest first. Each has a `-sess` variant."""


_NEVER_PART_OF_A_WORD: Final = 8
"""A password of so many bytes is replaced within a longer word, too."""


def encode_user_pass(username: str, password: str) -> str:
    """Return the `user-pass` of Basic authentication (RFC 7617 section 2), in UTF-8."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class DeviceCredentials:
    """An account on a device. Its `repr` shows neither username nor password."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    _spellings: tuple[bytes, ...] = field(init=False, repr=False, compare=False)
    """Of the Basic token and of the password, longest first, but not the empty one."""

    def __post_init__(self) -> None:
        plain = self.password
        in_json = (json.dumps(plain, ensure_ascii=each)[1:-1] for each in (True, False))
        passwords = {plain, *in_json, quote(plain), quote_plus(plain), escape(plain)}
        spellings = {self.basic_token, *passwords} - {""}
        longest_first = sorted(spellings, key=len, reverse=True)
        object.__setattr__(self, "_spellings", tuple(each.encode() for each in longest_first))

    @property
    def basic_token(self) -> str:
        """The `user-pass` of Basic authentication (RFC 7617 section 2), in UTF-8."""
        return encode_user_pass(self.username, self.password)

    def are_in(self, body: bytes) -> bool:
        """Return whether a device's text contains the password, however it is spelled."""
        return any(each in body for each in self._spellings)

    def redact(self, body: bytes) -> bytes:
        """Return a device's text with `<secret>` for the password, however it is spelled.

        Spellings: plain, escaped as in JSON, a URL or HTML, and as Basic authentication sends it. A
        spelling of less than 8 bytes within a longer word is not replaced: `pass` stays in
        `password`.
        """
        if not self.are_in(body):  # the usual case, and fast
            return body
        return re.sub(b"|".join(map(_as_pattern, self._spellings)), b"<secret>", body)


def _as_pattern(spelling: bytes) -> bytes:
    pattern = re.escape(spelling)
    if len(spelling) >= _NEVER_PART_OF_A_WORD:
        return pattern
    return rb"(?<![0-9A-Za-z])%s(?![0-9A-Za-z])" % pattern


class DigestAuth:
    """Answers one Digest challenge (RFC 7616 section 3.4), with its nonce used many times.

    The client nonce stays the same, as the `-sess` algorithms require, and the nonce count rises.
    So each request needs two hashes at most.
    """

    scheme: Final = "digest"

    __slots__ = ("_cnonce", "_fixed_fields", "_ha1", "_has_qop", "_hash", "_nonce", "_nonce_count")

    def __init__(
        self, challenge: Challenge, credentials: DeviceCredentials, cnonce: str | None = None
    ) -> None:
        params = challenge.params
        self._hash = _HASHES[_algorithm(params)]
        self._nonce = params["nonce"]
        self._nonce_count = 0
        self._cnonce = cnonce or secrets.token_hex(8)
        # Browsers answer `qop=""` as if there were none.
        self._has_qop = bool(params.get("qop"))
        self._fixed_fields = _fixed_fields(credentials, params)
        self._ha1 = self._h(f"{credentials.username}:{params['realm']}:{credentials.password}")
        if params.get("algorithm", "").lower().endswith("-sess"):
            self._ha1 = self._h(f"{self._ha1}:{self._nonce}:{self._cnonce}")

    def authorization(self, method: str, uri: str) -> str:
        """Return the `Authorization` header of the next request, and count the use of the nonce."""
        self._nonce_count += 1
        ha2 = _hash_a2(self._hash, method, uri)
        fields = f'{self._fixed_fields}, nonce="{_escape(self._nonce)}", uri="{uri}"'
        if not self._has_qop:
            response = self._h(f"{self._ha1}:{self._nonce}:{ha2}")
            return f'{fields}, response="{response}"'
        nc = f"{self._nonce_count:08x}"
        response = self._h(f"{self._ha1}:{self._nonce}:{nc}:{self._cnonce}:auth:{ha2}")
        return f'{fields}, qop=auth, nc={nc}, cnonce="{self._cnonce}", response="{response}"'

    def use_nonce(self, nonce: str) -> None:
        """Use the next nonce, which the device has announced (section 3.5)."""
        self._nonce = nonce
        self._nonce_count = 0

    def _h(self, text: str) -> str:
        return self._hash(text.encode()).hexdigest()


@lru_cache(maxsize=16)  # the devices share one resource and two algorithms
def _hash_a2(algorithm: Callable[[bytes], "hashlib._Hash"], method: str, uri: str) -> str:
    """Return H(A2) of RFC 7616 section 3.4.1."""
    return algorithm(f"{method}:{uri}".encode()).hexdigest()


def _fixed_fields(credentials: DeviceCredentials, params: Mapping[str, str]) -> str:
    """Return the start of the `Authorization` header, the same for every request."""
    fields = [
        f'Digest username="{_escape(credentials.username)}"',
        f'realm="{_escape(params["realm"])}"',
    ]
    if "algorithm" in params:
        fields.append(f"algorithm={params['algorithm']}")
    if "opaque" in params:
        fields.append(f'opaque="{_escape(params["opaque"])}"')
    return ", ".join(fields)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class BasicAuth:
    """Answers a Basic challenge (RFC 7617), in UTF-8."""

    scheme: Final = "basic"

    __slots__ = ("_authorization",)

    def __init__(self, credentials: DeviceCredentials) -> None:
        self._authorization = f"Basic {credentials.basic_token}"

    def authorization(self, _method: str, _uri: str) -> str:
        """Return the `Authorization` header, the same for every request."""
        return self._authorization


class Authenticator:
    """Authenticates to one device, and remembers its challenge between the polls.

    `secure`: the connection uses TLS. Without it Basic is never used, whatever the policy.
    Not shared between devices: one device's password is never sent to another.
    """

    __slots__ = ("_auth", "_credentials", "_policy", "_secure")

    def __init__(
        self, policy: Policy, credentials: DeviceCredentials | None, *, secure: bool
    ) -> None:
        self._policy = policy
        self._credentials = credentials
        self._secure = secure
        self._auth: DigestAuth | BasicAuth | None = None
        self._reset()

    def _reset(self) -> None:
        """Wait for a challenge again. With policy `basic` over TLS, none is needed."""
        self._auth = None
        if self._policy == "basic" and self._secure and self._credentials is not None:
            self._auth = BasicAuth(self._credentials)

    @property
    def scheme(self) -> str | None:
        """The scheme in use, `digest` or `basic`; `None` before a challenge."""
        return None if self._auth is None else self._auth.scheme

    def authorization(self, method: str, uri: str) -> str | None:
        """Return the `Authorization` header of the next request; `None` before a challenge."""
        return None if self._auth is None else self._auth.authorization(method, uri)

    def redact(self, text: str) -> str:
        """Return a device's text without our secrets; some devices repeat them."""
        if self._credentials is None:
            return text
        body = self._credentials.redact(text.encode(errors="surrogatepass"))
        return body.decode(errors="surrogatepass")

    def may_repeat_a_secret(self, body: bytes) -> bool:
        """Return whether a JSON body can contain a secret: plain, or with escapes."""
        return self._credentials is not None and (b"\\" in body or self._credentials.are_in(body))

    def handle_success(self, authentication_info: str | None) -> None:
        """Use the next nonce, if the response's `Authentication-Info` header announces one."""
        for nonce in find_next_nonces(authentication_info):
            if isinstance(self._auth, DigestAuth) and nonce and _is_sendable(nonce):
                self._auth.use_nonce(nonce)

    def handle_unauthorized(self, www_authenticate: Sequence[str], refusals: int) -> None:
        """Answer the challenges of a 401 response in the next request.

        `refusals` counts the 401 responses of this call. The first one may only mean that there
        was no challenge yet or that the nonce has expired. After that, the password is wrong
        unless the challenge says `stale=true`.
        Raises `Unauthorized`, with the reason, if sending the request again is pointless.
        """
        previous_scheme = self.scheme
        self._reset()
        if self._credentials is None:
            raise NoAccount("HTTP 401: the device asks for a password, but none is configured", 401)
        challenges = parse_challenges(www_authenticate)
        chosen = _choose(challenges, self._policy, secure=self._secure)
        if chosen is None:
            shown = [self.redact(header) for header in www_authenticate]
            # Parsed again: a device may name a secret as its login method.
            why = _why_none(parse_challenges(shown), self._policy, secure=self._secure)
            header = f" (WWW-Authenticate: {', '.join(shown)})" if shown else ""
            raise NoCommonScheme(f"HTTP 401: {why}{printable(header)}", 401)
        is_stale = chosen.params.get("stale", "").lower() == "true"
        if is_stale and refusals > STALE_RETRIES:
            message = "the device accepts the password but keeps refusing its own nonce"
            raise NonceAlwaysStale(f"HTTP 401: {message}", 401)
        if (refusals > 1 and not is_stale) or chosen.scheme == previous_scheme == "basic":
            raise Unauthorized("HTTP 401: the device refused the username or password", 401)
        if chosen.scheme == "digest":
            self._auth = DigestAuth(chosen, self._credentials)
        else:
            self._auth = BasicAuth(self._credentials)


def _choose(challenges: Sequence[Challenge], policy: Policy, *, secure: bool) -> Challenge | None:
    """Return the strongest challenge that we can answer, if there is one."""
    digests = [c for c in challenges if policy != "basic" and _is_answerable_digest(c)]
    digests.sort(key=lambda c: list(_HASHES).index(_algorithm(c.params)))
    basics = [c for c in challenges if policy != "digest" and secure and c.scheme == "basic"]
    return next(iter(digests + basics), None)


def _is_answerable_digest(challenge: Challenge) -> bool:
    params = challenge.params
    return (
        challenge.scheme == "digest"
        and "realm" in params
        and bool(params.get("nonce"))
        and _algorithm(params) in _HASHES
        and "auth" in (qop.strip().lower() for qop in (params.get("qop") or "auth").split(","))
        and all(_is_sendable(params.get(name, "")) for name in ("realm", "nonce", "opaque"))
    )


def _algorithm(params: Mapping[str, str]) -> str:
    return params.get("algorithm", "MD5").lower().removesuffix("-sess")


def _is_sendable(text: str) -> bool:
    # Bytes that are not UTF-8 are read as lone surrogates, which cannot be sent.
    return text.isprintable()


def _why_none(challenges: Sequence[Challenge], policy: Policy, *, secure: bool) -> str:
    offered = {challenge.scheme for challenge in challenges}
    if not offered:
        return "the device offered no login method"
    if "basic" in offered and not secure and policy != "digest":
        return (
            "the device offers only Basic, which is never used over plain HTTP as it would expose "
            "the password: set `scheme: https`, or enable Digest on the device"
        )
    names = printable(", ".join(sorted(offered)))
    return f"the device offers only {names}, which `auth.scheme: {policy}` cannot answer"
