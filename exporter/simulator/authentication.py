"""The server's side of HTTP authentication: which challenges, and whether to let one in. Pure."""

import base64
import binascii
import enum
import secrets
from dataclasses import dataclass, replace

from exporter.simulator import digest
from exporter.simulator.wire import Headers, Request

_MICROSECONDS = 1_000_000

# Apache's NEXTNONCE_DELTA: so long before a nonce dies, its successor goes along.
_NEXT_NONCE_SECONDS = 30


class AuthResult(enum.Enum):
    """What becomes of a request."""

    GRANTED = enum.auto()
    REFUSED = enum.auto()
    STALE = enum.auto()
    """The password is right, the nonce is too old or not ours: try again with the new one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, with the value of the Authentication-Info header, if there is to be one."""

    outcome: AuthResult
    authentication_info: str | None = None


GRANTED = Verdict(AuthResult.GRANTED)
REFUSED = Verdict(AuthResult.REFUSED)
STALE = Verdict(AuthResult.STALE)


@dataclass(frozen=True, slots=True)
class ChallengeOffer:
    """One scheme that is offered. `algorithm` "" is not written and means MD5 (RFC 2617)."""

    scheme: str
    algorithm: str = ""
    qop: bool = False

    def accepts(self, credentials: digest.DigestAccount) -> bool:
        """Whether these Digest credentials answer this challenge.

        A client may leave out the qop that was offered (RFC 2617, section 3.2.2), but not use one
        that was not.
        """
        algorithm = credentials.algorithm.upper()
        if self.scheme != "Digest" or algorithm not in digest.HASHES:
            return False
        asked = {"", "auth"} if self.qop else {""}
        return algorithm == (self.algorithm or "MD5") and credentials.qop in asked

    def header(self, realm: str, nonce: str, *, stale: bool) -> str:
        """Write it as WWW-Authenticate has it, the parameters in Apache's order."""
        if self.scheme == "Basic":
            return f'Basic realm="{realm}"'
        parts = [f'realm="{realm}"', f'nonce="{nonce}"']
        parts += [f"algorithm={self.algorithm}"] if self.algorithm else []
        parts += ["stale=true"] if stale else []
        parts += ['qop="auth"'] if self.qop else []
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a device asks for. No challenges: it lets everybody in."""

    description: str
    http: tuple[ChallengeOffer, ...]
    https: tuple[ChallengeOffer, ...]
    one_header: bool = False

    def challenges(self, *, secure: bool) -> tuple[ChallengeOffer, ...]:
        """Tell what is offered, over TLS or without."""
        return self.https if secure else self.http


_BASIC = ChallengeOffer("Basic")
_MD5 = ChallengeOffer("Digest", "MD5", qop=True)
_SHA256 = ChallengeOffer("Digest", "SHA-256", qop=True)
_NO_ALGORITHM = ChallengeOffer("Digest", "", qop=True)
_NO_QOP = ChallengeOffer("Digest", "MD5")
_RFC2069 = ChallengeOffer("Digest")
_UNKNOWN = ChallengeOffer("Digest", "SHA-512-256", qop=True)


def _both(description: str, *challenges: ChallengeOffer, one_header: bool = False) -> Policy:
    """Make a policy that is the same over HTTP and HTTPS."""
    return Policy(description, challenges, challenges, one_header)


POLICIES: dict[str, Policy] = {
    "recommended": Policy(
        "Digest over HTTP, Basic over HTTPS (factory setting)", (_MD5,), (_BASIC,)
    ),
    "digest": _both("Digest, MD5", _MD5),
    "digest-sha256": _both("Digest, SHA-256", _SHA256),
    "digest-sha256+md5": _both("Digest, SHA-256 first, then MD5", _SHA256, _MD5),
    "digest-no-algorithm": _both("Digest with qop, algorithm not named", _NO_ALGORITHM),
    "digest-no-qop": _both("Digest, MD5 named, no qop", _NO_QOP),
    "digest-rfc2069": _both("Digest with neither qop nor algorithm", _RFC2069),
    "digest-unknown-first": _both("Digest, SHA-512-256 first, then MD5", _UNKNOWN, _MD5),
    "basic": _both("Basic", _BASIC),
    "basic+digest": _both("Basic first, then Digest, a header each", _BASIC, _MD5),
    "digest+basic": _both("Digest first, then Basic, a header each", _MD5, _BASIC),
    "basic+digest-one-header": _both("Basic, Digest in one header", _BASIC, _MD5, one_header=True),
    "none": _both("no authentication"),
}
"""The policies by name, as `--auth` takes them."""


class Gatekeeper:
    """Judges the requests to one device and challenges those that it doesn't let in.

    All times are microseconds since the Unix epoch on the device's own clock, as in Apache: a
    device whose clock is set back calls its newer nonces stale. Nonce counts aren't enforced, which
    is Apache's default.
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
        """The password of the one account; setting it forgets the hashes of the old one."""
        return self._account[1]

    @password.setter
    def password(self, password: str) -> None:
        self._account = (self._account[0], password)
        self._account_hashes = {}

    def judge(self, policy: Policy, request: Request, microseconds: int) -> Verdict:
        """Decide whether this request may pass at that device time."""
        challenges = policy.challenges(secure=request.secure)
        if not challenges:
            return GRANTED
        if request.authorization is None:
            return REFUSED
        credentials = digest.parse_credentials(request.authorization)
        if credentials is None:
            return self._judge_basic(request.authorization) if _BASIC in challenges else REFUSED
        if not any(challenge.accepts(credentials) for challenge in challenges):
            return REFUSED
        return self._judge_digest(credentials, request, microseconds)

    def challenge(
        self, policy: Policy, request: Request, microseconds: int, *, stale: bool
    ) -> Headers:
        """Write the WWW-Authenticate headers, all with one fresh nonce."""
        nonce = self._new_nonce(microseconds)
        values = [
            challenge.header(self.realm, nonce, stale=stale)
            for challenge in policy.challenges(secure=request.secure)
        ]
        if policy.one_header:
            values = [", ".join(values)]
        return tuple(("WWW-Authenticate", value) for value in values)

    def _judge_basic(self, authorization: str) -> Verdict:
        """Check `Basic base64(user:password)` (RFC 7617)."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return REFUSED
        right = digest.same(given, ":".join(self._account))
        return GRANTED if right and scheme.lower() == "basic" else REFUSED

    def _judge_digest(
        self, credentials: digest.DigestAccount, request: Request, microseconds: int
    ) -> Verdict:
        """Check password first, nonce last: only so "stale" can mean that the password is fine."""
        # Names of algorithms are compared without case but hashed under our spelling.
        credentials = replace(credentials, algorithm=credentials.algorithm.upper())
        account_hash = self._account_hash(credentials.algorithm)
        expected = digest.expected_response(account_hash, credentials, request.method)
        right = digest.same(expected, credentials.response.lower())
        known = digest.same(credentials.username, self._account[0])
        if not (right and known and credentials.realm == self.realm):
            return REFUSED
        if credentials.uri != request.target:
            return REFUSED
        return self._judge_nonce(credentials, account_hash, microseconds)

    def _judge_nonce(
        self, credentials: digest.DigestAccount, account_hash: str, microseconds: int
    ) -> Verdict:
        born = digest.nonce_microseconds(credentials.nonce, self._secret, self.realm)
        if born is None:
            return STALE
        age = (microseconds + self.nonce_shift_microseconds - born) / _MICROSECONDS
        if not 0 <= age <= self.nonce_lifetime_seconds:
            return STALE
        is_last = age >= self.nonce_lifetime_seconds - _NEXT_NONCE_SECONDS
        next_nonce = self._new_nonce(microseconds) if is_last else None
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
    credentials: digest.DigestAccount, account_hash: str, next_nonce: str | None
) -> str | None:
    """Write Authentication-Info (RFC 7616, section 3.5); without qop there is no rspauth."""
    following = [f'nextnonce="{next_nonce}"'] if next_nonce else []
    if not credentials.qop:
        return ", ".join(following) or None
    proof = digest.expected_response(account_hash, credentials, "")
    parts = [f'rspauth="{proof}"', f'cnonce="{credentials.cnonce}"', f"nc={credentials.nc}"]
    return ", ".join([*parts, *following, f"qop={credentials.qop}"])
