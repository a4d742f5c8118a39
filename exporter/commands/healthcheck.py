"""`axis-ntp-exporter healthcheck`: health check and probe, for images without curl.

It runs at least twice a minute, so it imports nothing from the daemon. That
costs 0.06 s of CPU instead of 0.6 s.
"""

import argparse
import http.client
import ssl
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from exporter.commands.path_flags import add_paths, paths_of
from exporter.system.addresses import DEFAULT_PORT, format_address, listen_address

TIMEOUT_SECONDS: Final = 5.0

_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class _Unusable(Exception):
    """A file of the client certificate cannot be used; `str()` says which, and why."""


class _Refused(Exception):
    """The daemon ended the TLS connection with an alert, so it is alive; `str()` is the alert."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the daemon's flags that say where it is, what to ask, and a client certificate."""
    add = parser.add_argument
    add(
        "--web.listen-address",
        dest="listen",
        type=listen_address,
        default=f":{DEFAULT_PORT}",
        metavar="ADDRESS",
        help="the daemon's listen address (default: %(default)s)",
    )
    add_paths(parser)
    add("--ready", action="store_true", help="ask whether each device was polled once")
    add(
        "--cert-file",
        type=Path,
        metavar="FILE",
        help="the client certificate, if the daemon requires one",
    )
    add("--key-file", type=Path, metavar="FILE", help="its key (default: in the same file)")


def execute(arguments: argparse.Namespace) -> int:
    """Print the result; returns 0 if the daemon is alive or ready, 1 if not, 2 for usage errors."""
    if arguments.key_file and not arguments.cert_file:
        print("healthcheck: --key-file needs --cert-file", file=sys.stderr)
        return 2
    yes, no = ("ready", "not ready") if arguments.ready else ("healthy", "unhealthy")
    problem = _find_problem(arguments)
    if problem is not None:
        print(f"{no}: {problem}", file=sys.stderr)
        return 1
    print(yes)
    return 0


def _find_problem(arguments: argparse.Namespace) -> str | None:
    path = paths_of(arguments).route("/-/ready" if arguments.ready else "/-/healthy")
    try:
        status = _get_status(arguments, path)
    except _Refused as alert:
        if not arguments.ready:
            return None
        return (
            f"the daemon refused the TLS connection ({alert}): add --cert-file and --key-file "
            "with a certificate that its client_ca_file has signed"
        )
    except (OSError, http.client.HTTPException) as failure:
        problem = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
        return f"{format_address(*_address(arguments))}: {problem}"
    except _Unusable as problem:
        return str(problem)
    return None if status == http.client.OK else f"{path} returned {status}"


def _get_status(arguments: argparse.Namespace, path: str) -> int:
    """Send a request over HTTP or, if the daemon uses TLS, over HTTPS."""
    host, port = _address(arguments)
    with suppress(ConnectionResetError, http.client.BadStatusLine):
        return _get(http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS), path)
    tls = _tls(arguments.cert_file, arguments.key_file)
    try:
        return _get(
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=tls), path
        )
    except ssl.SSLError as problem:
        if "ALERT" in (problem.reason or ""):
            raise _Refused(problem.reason) from None
        raise


def _address(arguments: argparse.Namespace) -> tuple[str, int]:
    """Return where the daemon is asked: of all addresses the one of loopback."""
    host, port = arguments.listen
    return _LOOPBACK.get(host, host), port


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    # It is our own daemon, its certificate may not contain this address, and we send no secret.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        try:
            # No passphrase: OpenSSL would ask for it at the terminal.
            tls.load_cert_chain(certificate, key, password=str)
        except OSError as problem:
            files = f"{certificate}, {key}" if key else certificate
            raise _Unusable(f"{files}: {problem.strerror or problem}") from None
    return tls


def _get(connection: http.client.HTTPConnection, path: str) -> int:
    with closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status
