"""HTTP Digest (RFC 7616, RFC 2069) and Apache's nonces. No I/O."""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_TIME_CHARACTERS = 12
_PARAMETER = re.compile(r'([A-Za-z*]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_ESCAPE = re.compile(r"\\(.)")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


HASHES: Mapping[str, Callable[[str], str]] = {"MD5": _md5, "SHA-256": _sha256}
"""The algorithms that a simulated device can check, by their names in a challenge."""


@dataclass(frozen=True, slots=True)
class DigestParameters:
    """The parameters of an `Authorization: Digest` header (RFC 7616, section 3.4).

    Without `qop` the digest is that of RFC 2069, and `nc` and `cnonce` are empty.
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    qop: str
    nc: str
    cnonce: str


def parse_credentials(authorization: str) -> DigestParameters | None:
    """Parse the value of an Authorization header; None unless it is complete Digest."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "digest":
        return None
    found = {
        name.lower(): _ESCAPE.sub(r"\1", quoted) if quoted else token
        for name, quoted, token in _PARAMETER.findall(rest)
    }
    if not found.keys() >= {"username", "realm", "nonce", "uri", "response"}:
        return None
    found.setdefault("algorithm", "MD5")
    return DigestParameters(**{name: found.get(name, "") for name in DigestParameters.__slots__})


def hash_account(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return H(A1), the digest of user name, realm and password (RFC 7616, section 3.4.2)."""
    return HASHES[algorithm](f"{username}:{realm}:{password}")


def expected_response(account_hash: str, credentials: DigestParameters, method: str) -> str:
    """Return the `response` for the right password; with an empty method, `rspauth`.

    RFC 7616, sections 3.4.1 and 3.5; without qop, RFC 2069, section 2.1.2.
    """
    digest = HASHES[credentials.algorithm]
    request_hash = digest(f"{method}:{credentials.uri}")
    if not credentials.qop:
        return digest(f"{account_hash}:{credentials.nonce}:{request_hash}")
    middle = f"{credentials.nonce}:{credentials.nc}:{credentials.cnonce}:{credentials.qop}"
    return digest(f"{account_hash}:{middle}:{request_hash}")


def make_nonce(device_microseconds: int, secret: bytes, realm: str) -> str:
    """Return a nonce in the format of Apache's mod_auth_digest.

    12 base64 characters of the time (little-endian int64, microseconds since the Unix epoch on
    the device's clock), then a hex SHA-1 that proves that this server made it.
    """
    time_part = base64.b64encode(struct.pack("<q", device_microseconds)).decode("ascii")
    proof = hmac.digest(secret, f"{realm}:{time_part}".encode(), "sha1").hex()
    return time_part + proof


def nonce_microseconds(nonce: str, secret: bytes, realm: str) -> int | None:
    """Return the time in one of this server's own nonces; None for any other nonce."""
    try:
        packed = base64.b64decode(nonce[:_TIME_CHARACTERS], validate=True)
        (microseconds,) = struct.unpack("<q", packed)
    except (ValueError, struct.error):
        return None
    ours = make_nonce(microseconds, secret, realm)
    return int(microseconds) if equal(ours, nonce) else None


def equal(one: str, other: str) -> bool:
    """Return whether two texts are equal, in a time that doesn't depend on where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
