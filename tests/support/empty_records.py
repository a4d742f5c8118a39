"""Makes a TLS peer send records that carry no data: TLS 1.3 KeyUpdates and session tickets.

Python's ssl module cannot send either, so this calls OpenSSL through ctypes, on the `SSL*` that
CPython keeps behind the object's head and its first field.
"""

import _ssl
import ctypes
import re
import ssl
import subprocess
import sys
from functools import cache
from typing import Any, Final, Literal

Kind = Literal["keyupdate", "ticket"]

KEY_UPDATE_BYTES: Final = 27
"""What one KeyUpdate takes on the wire, with AES-GCM."""

# The object's head (reference count and type), then the pointer to the Python socket.
_POINTER_OFFSET: Final = sys.getsizeof(object()) + ctypes.sizeof(ctypes.c_void_p)


def queue_empty_record(tls: ssl.SSLObject | ssl.SSLSocket, kind: Kind) -> None:
    """Send one record without data. Raises `OSError` if the connection has ended."""
    library, pointer = _openssl(), _pointer(tls)
    if kind == "ticket":
        queued = library.SSL_new_session_ticket(pointer)
    else:
        queued = library.SSL_key_update(pointer, 0)
    if queued != 1 or library.SSL_do_handshake(pointer) != 1:
        raise ConnectionResetError("the peer has ended the connection")


def _pointer(tls: Any) -> int | None:
    return ctypes.c_void_p.from_address(id(tls._sslobj) + _POINTER_OFFSET).value


@cache
def _openssl() -> ctypes.CDLL:
    """Return the same library that Python's ssl module has loaded."""
    listed = subprocess.run(["ldd", _ssl.__file__], capture_output=True, text=True, check=True)
    found = re.search(r"libssl\S* => (\S+)", listed.stdout)
    assert found is not None
    library = ctypes.CDLL(found[1])
    library.SSL_new_session_ticket.argtypes = [ctypes.c_void_p]
    library.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.SSL_do_handshake.argtypes = [ctypes.c_void_p]
    return library
