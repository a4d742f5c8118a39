"""TLS for devices and the web server: versions by name, errors in words, limited overhead."""

import ssl
import warnings
from typing import Any, Final, Literal, cast

TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]

TLS_VERSIONS: Final[dict[TlsVersion, ssl.TLSVersion]] = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


def allow_from(context: ssl.SSLContext, oldest: TlsVersion, ciphers: str = "DEFAULT") -> None:
    """Allow TLS version `oldest` and newer, with `ciphers` (an OpenSSL list) up to TLS 1.2.

    Versions before TLS 1.2 need OpenSSL's lowest security level.
    """
    old = oldest in ("TLS10", "TLS11")
    with warnings.catch_warnings():
        # The operator chose an old version for old firmware or clients: no warning.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = TLS_VERSIONS[oldest]
    if old or ciphers != "DEFAULT":
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0" if old else ciphers)


def refuse_dhe(context: ssl.SSLContext) -> None:
    """Offer no key exchange with a Diffie-Hellman group that the server chooses.

    OpenSSL accepts one of 10,000 bits, which takes a client a second of CPU. The groups of ECDHE
    are fixed and fast. An exchange by RSA has no forward secrecy, so only versions before TLS 1.2
    have it, whatever the defaults of this host's Python are.
    """
    unwanted = {"kx-dhe"}
    if context.minimum_version >= ssl.TLSVersion.TLSv1_2:
        unwanted.add("kx-rsa")
    offered = [each["name"] for each in context.get_ciphers() if each["kea"] not in unwanted]
    context.set_ciphers(":".join(offered))


_FILE_ERRORS: Final = {
    "KEY_VALUES_MISMATCH": "the key does not match the certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "it contains no PEM certificate",
}
"""OpenSSL's names of frequent errors."""


def describe_file_error(error: OSError) -> str:
    """Return why OpenSSL cannot use a certificate or key file."""
    if not isinstance(error, ssl.SSLError):
        return str(error.strerror)
    return _FILE_ERRORS.get(error.reason) or error.reason or "it is not valid PEM"


FREE_OVERHEAD_BYTES: Final = 32 * 1024
"""The most bytes that a peer may send between two writes of ours without carrying data."""

HANDSHAKE_BYTES: Final = 128 * 1024
"""The most bytes that a peer may send until the handshake is complete.

OpenSSL accepts 100 KiB of certificates. It skips any number of HelloRequests in between.
"""

_DATA_PER_OVERHEAD: Final = 8
"""So many bytes of data pay for one byte more: each record has a head, an IV and a checksum."""

_SLICE_BYTES: Final = 16 * 1024
"""How much is decrypted between two checks."""


class BoundedSSLObject(ssl.SSLObject):
    """TLS that ends if the peer sends much that carries no data; made by `BoundedSSLContext`.

    No protocol sees such records (KeyUpdates, session tickets, padding), and OpenSSL goes
    through all that it is given at once: docs/decisions/0014.
    """

    def bound(self, received: ssl.MemoryBIO, given: ssl.MemoryBIO) -> None:
        """Take what the event loop has `received`, and hand it to OpenSSL through `given`."""
        self._received = received
        self._given = given
        self._free_bytes = FREE_OVERHEAD_BYTES
        self._is_exceeded = False
        self._handshake_bytes = 0

    def do_handshake(self) -> None:
        """Continue the handshake. Raises `ssl.SSLError` if the peer sends too much for one."""
        while True:
            self._handshake_bytes += self._give()
            try:
                super().do_handshake()
            except ssl.SSLWantReadError:
                if self._handshake_bytes > HANDSHAKE_BYTES:
                    raise ssl.SSLError(1, "the handshake is too long") from None
                if not self._received.pending:
                    raise
            else:
                return

    def pending(self) -> int:
        """Return how many bytes a read may find, decrypted or not."""
        return super().pending() + self._given.pending

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        """Send data. The peer may answer, so it gets its whole allowance again."""
        if self._free_bytes < 0:
            raise _too_much_overhead()
        self._free_bytes = FREE_OVERHEAD_BYTES
        return super().write(data)

    def read(self, size: int = 1024, buffer: Any = None) -> Any:  # noqa: ANN401 - as `SSLObject`
        """Return data, or how much was written to the buffer, as `SSLObject.read` does.

        Raises `ssl.SSLError` if too much was received that carries no data.
        """
        given = self._given
        while (free := self._free_bytes) >= 0:
            free -= given.pending or self._give()
            try:
                data = super().read(size, buffer)
            except ssl.SSLWantReadError:
                self._free_bytes = free + given.pending
                if self._free_bytes >= 0 and not self._give():
                    raise
            else:
                count: Any = len(data) if buffer is None else data
                free += given.pending + count + count // _DATA_PER_OVERHEAD
                self._free_bytes = min(free, FREE_OVERHEAD_BYTES)
                return data
        raise self._end()

    def _give(self) -> int:
        """Hand OpenSSL the next slice; return its length."""
        return self._given.write(self._received.read(_SLICE_BYTES))

    def _end(self) -> ssl.SSLError:
        """Return the error for a peer without allowance.

        The first one asks the event loop to wait: on any other it would drop what it has read
        just before. The second ends the connection.
        """
        if self._is_exceeded:
            return _too_much_overhead()
        self._is_exceeded = True
        return ssl.SSLWantReadError()


def _too_much_overhead() -> ssl.SSLError:
    return ssl.SSLError(1, "too many TLS records without data")


class BoundedSSLContext(ssl.SSLContext):
    """A context whose connections limit records that carry no data.

    The event loops, uvloop's and Python's, call `wrap_bio` for every connection. A class that is
    set as `sslobject_class` must be a `BoundedSSLObject`.
    """

    sslobject_class: type[BoundedSSLObject] = BoundedSSLObject

    def wrap_bio(self, incoming: ssl.MemoryBIO, *args: Any, **kwargs: Any) -> BoundedSSLObject:  # noqa: ANN401 - passed on
        """Start a connection's TLS on what the event loop will write to `incoming`."""
        given = ssl.MemoryBIO()
        tls: Any = super().wrap_bio(given, *args, **kwargs)
        tls.bound(incoming, given)
        return cast("BoundedSSLObject", tls)
