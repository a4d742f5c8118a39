"""`axis-ntp-exporter healthcheck`: container health check, for images without curl.

It runs at least twice a minute, so it imports nothing from the daemon. That
costs 0.06 s of CPU instead of 0.6 s.
"""

import argparse
import http.client
import ssl
import sys
from contextlib import closing, suppress
from typing import Final

from exporter.commands.path_flags import add_paths, paths_of
from exporter.system.addresses import DEFAULT_PORT, listen_address

PATH: Final = "/-/healthy"
TIMEOUT_SECONDS: Final = 5.0

_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the daemon's flags that say where it is."""
    parser.add_argument(
        "--web.listen-address",
        dest="listen",
        type=listen_address,
        default=f":{DEFAULT_PORT}",
        metavar="ADDRESS",
        help="the daemon's listen address (default: %(default)s)",
    )
    add_paths(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the result; returns 0 if the daemon is alive, 1 if not."""
    host, port = arguments.listen
    path = paths_of(arguments).route(PATH)
    try:
        status = _get_status(_LOOPBACK.get(host, host), port, path)
    except (OSError, http.client.HTTPException) as failure:
        problem = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
    else:
        problem = None if status == http.client.OK else f"{path} returned {status}"
    if problem is not None:
        print(f"unhealthy: {problem}", file=sys.stderr)
        return 1
    print("healthy")
    return 0


def _get_status(host: str, port: int, path: str) -> int:
    """Send a request over HTTP or, if the daemon uses TLS, over HTTPS."""
    with suppress(ConnectionResetError, http.client.BadStatusLine):
        return _get(http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS), path)
    # It is our own daemon, its certificate may not contain this address, and we send no secret.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    secure = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=tls)
    try:
        return _get(secure, path)
    except ssl.SSLError as problem:
        # The daemon requires a client certificate and refused us with a TLS alert: it is alive.
        if "ALERT" in (problem.reason or ""):
            return http.client.OK
        raise


def _get(connection: http.client.HTTPConnection, path: str) -> int:
    with closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status
