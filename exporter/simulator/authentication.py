"""Server-side HTTP authentication: sends challenges and checks credentials. No I/O."""

import base64
import binascii
import enum
import secrets
from dataclasses import dataclass, replace

from exporter.simulator import digest
from exporter.simulator.wire import Headers, Request

_MICROSECONDS = 1_000_000

# Apache's NEXTNONCE_DELTA: this long before a nonce expires, a response carries the next one.
_NEXT_NONCE_SECONDS = 30


class AuthResult(enum.Enum):
    """The result of checking a request's credentials."""

    GRANTED = enum.auto()
    REFUSED = enum.auto()
    STALE = enum.auto()
    """The password is right, but the nonce is too old or not ours: retry with the new one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A result, and the value of the Authentication-Info header, or None for no header."""

    result: AuthResult
    authentication_info: str | None = None


GRANTED = Verdict(AuthResult.GRANTED)
REFUSED = Verdict(AuthResult.REFUSED)
STALE = Verdict(AuthResult.STALE)


@dataclass(frozen=True, slots=True)
class ChallengeOffer:
    """One offered scheme. `algorithm` "" is left out of the header and means MD5 (RFC 2617)."""

    scheme: str
    algorithm: str = ""
    qop: bool = False

    def accepts(self, credentials: digest.DigestParameters) -> bool:
        """Return whether these Digest credentials fit this challenge.

        A client may leave out the offered qop (RFC 2617, section 3.2.2), but must not send a qop
        that was not offered.
        """
        algorithm = credentials.algorithm.upper()
        if self.scheme != "Digest" or algorithm not in digest.HASHES:
            return False
        allowed = {"", "auth"} if self.qop else {""}
        return algorithm == (self.algorithm or "MD5") and credentials.qop in allowed

    def header(self, realm: str, nonce: str, *, stale: bool) -> str:
        """Return the value of WWW-Authenticate, with the parameters in Apache's order."""
        if self.scheme == "Basic":
            return f'Basic realm="{realm}"'
        parts = [f'realm="{realm}"', f'nonce="{nonce}"']
        parts += [f"algorithm={self.algorithm}"] if self.algorithm else []
        parts += ["stale=true"] if stale else []
        parts += ['qop="auth"'] if self.qop else []
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """The challenges of a device. Without challenges it accepts every request."""

    description: str
    http: tuple[ChallengeOffer, ...]
    https: tuple[ChallengeOffer, ...]
    one_header: bool = False

    def challenges(self, *, secure: bool) -> tuple[ChallengeOffer, ...]:
        """Return the challenges over TLS (`secure`) or plain HTTP."""
        return self.https if secure else self.http


_BASIC = ChallengeOffer("Basic")
_MD5 = ChallengeOffer("Digest", "MD5", qop=True)
_SHA256 = ChallengeOffer("Digest", "SHA-256", qop=True)
_NO_ALGORITHM = ChallengeOffer("Digest", "", qop=True)
_NO_QOP = ChallengeOffer("Digest", "MD5")
_RFC2069 = ChallengeOffer("Digest")
_UNKNOWN = ChallengeOffer("Digest", "SHA-512-256", qop=True)


def _both(description: str, *challenges: ChallengeOffer, one_header: bool = False) -> AuthPolicy:
    """Return a policy that is the same over HTTP and HTTPS."""
    return AuthPolicy(description, challenges, challenges, one_header)


POLICIES: dict[str, AuthPolicy] = {
    "recommended": AuthPolicy(
        "Digest over HTTP, Basic over HTTPS (factory setting)", (_MD5,), (_BASIC,)
    ),
    "digest": _both("Digest, MD5", _MD5),
    "digest-sha256": _both("Digest, SHA-256", _SHA256),
    "digest-sha256+md5": _both("Digest, SHA-256 first, then MD5", _SHA256, _MD5),
    "digest-no-algorithm": _both("Digest with qop but without algorithm", _NO_ALGORITHM),
    "digest-no-qop": _both("Digest, MD5, without qop", _NO_QOP),
    "digest-rfc2069": _both("Digest without qop and algorithm", _RFC2069),
    "digest-unknown-first": _both("Digest, SHA-512-256 first, then MD5", _UNKNOWN, _MD5),
    "basic": _both("Basic", _BASIC),
    "basic+digest": _both("Basic, then Digest, in separate headers", _BASIC, _MD5),
    "digest+basic": _both("Digest, then Basic, in separate headers", _MD5, _BASIC),
    "basic+digest-one-header": _both(
        "Basic and Digest in one header", _BASIC, _MD5, one_header=True
    ),
    "none": _both("no authentication"),
}
"""The policies by name, as `--auth` takes them."""


class DeviceLogin:
    """Checks the credentials of requests to one device and makes the challenges.

    All times are microseconds since the Unix epoch on the device's own clock, as in Apache: after
    the clock is set back, nonces from before that are stale. Nonce counts aren't enforced, which is
    Apache's default.
    """

    __slots__ = (
        "_account",
        "_account_hashes",
        "_secret",
        "nonce_lifetime_seconds",
        "nonce_shift_microseconds",
        "realm",
    )

    def __init__(
        self, realm: str, username: str, password: str, nonce_lifetime_seconds: float = 300.0
    ) -> None:
        self.realm = realm
        self.nonce_lifetime_seconds = nonce_lifetime_seconds
        self.nonce_shift_microseconds = 0
        self._account = (username, password)
        self._account_hashes: dict[str, str] = {}
        self._secret = secrets.token_bytes(20)

    @property
    def password(self) -> str:
        """The password of the only account; setting it discards the hashes of the old one."""
        return self._account[1]

    @password.setter
    def password(self, password: str) -> None:
        self._account = (self._account[0], password)
        self._account_hashes = {}

    def check(self, policy: AuthPolicy, request: Request, microseconds: int) -> Verdict:
        """Check the credentials of a request that arrived at that device time."""
        challenges = policy.challenges(secure=request.secure)
        if not challenges:
            return GRANTED
        if request.authorization is None:
            return REFUSED
        credentials = digest.parse_credentials(request.authorization)
        if credentials is None:
            return self._check_basic(request.authorization) if _BASIC in challenges else REFUSED
        if not any(challenge.accepts(credentials) for challenge in challenges):
            return REFUSED
        return self._check_digest(credentials, request, microseconds)

    def challenge_headers(
        self, policy: AuthPolicy, request: Request, microseconds: int, *, stale: bool
    ) -> Headers:
        """Return the WWW-Authenticate headers, all with the same new nonce."""
        nonce = self._new_nonce(microseconds)
        values = [
            challenge.header(self.realm, nonce, stale=stale)
            for challenge in policy.challenges(secure=request.secure)
        ]
        if policy.one_header:
            values = [", ".join(values)]
        return tuple(("WWW-Authenticate", value) for value in values)

    def _check_basic(self, authorization: str) -> Verdict:
        """Check `Basic base64(user:password)` (RFC 7617)."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return REFUSED
        is_right = digest.equal(given, ":".join(self._account))
        return GRANTED if is_right and scheme.lower() == "basic" else REFUSED

    def _check_digest(
        self, credentials: digest.DigestParameters, request: Request, microseconds: int
    ) -> Verdict:
        """Check the password before the nonce: "stale" implies that the password is right."""
        # Algorithm names are case-insensitive; our tables have them in upper case.
        credentials = replace(credentials, algorithm=credentials.algorithm.upper())
        account_hash = self._account_hash(credentials.algorithm)
        expected = digest.expected_response(account_hash, credentials, request.method)
        right_password = digest.equal(expected, credentials.response.lower())
        right_user = digest.equal(credentials.username, self._account[0])
        if not (right_password and right_user and credentials.realm == self.realm):
            return REFUSED
        if credentials.uri != request.target:
            return REFUSED
        return self._check_nonce(credentials, account_hash, microseconds)

    def _check_nonce(
        self, credentials: digest.DigestParameters, account_hash: str, microseconds: int
    ) -> Verdict:
        created = digest.nonce_microseconds(credentials.nonce, self._secret, self.realm)
        if created is None:
            return STALE
        age = (microseconds + self.nonce_shift_microseconds - created) / _MICROSECONDS
        if not 0 <= age <= self.nonce_lifetime_seconds:
            return STALE
        expires_soon = age >= self.nonce_lifetime_seconds - _NEXT_NONCE_SECONDS
        next_nonce = self._new_nonce(microseconds) if expires_soon else None
        return Verdict(
            AuthResult.GRANTED, _authentication_info(credentials, account_hash, next_nonce)
        )

    def _new_nonce(self, microseconds: int) -> str:
        shifted = microseconds + self.nonce_shift_microseconds
        return digest.make_nonce(shifted, self._secret, self.realm)

    def _account_hash(self, algorithm: str) -> str:
        if algorithm not in self._account_hashes:
            username, password = self._account
            hashed = digest.hash_account(algorithm, username, self.realm, password)
            self._account_hashes[algorithm] = hashed
        return self._account_hashes[algorithm]


def _authentication_info(
    credentials: digest.DigestParameters, account_hash: str, next_nonce: str | None
) -> str | None:
    """Return the value of Authentication-Info (RFC 7616, section 3.5).

    Without qop, rspauth is omitted. `None` means no header.
    """
    following = [f'nextnonce="{next_nonce}"'] if next_nonce else []
    if not credentials.qop:
        return ", ".join(following) or None
    proof = digest.expected_response(account_hash, credentials, "")
    parts = [f'rspauth="{proof}"', f'cnonce="{credentials.cnonce}"', f"nc={credentials.nc}"]
    return ", ".join([*parts, *following, f"qop={credentials.qop}"])
