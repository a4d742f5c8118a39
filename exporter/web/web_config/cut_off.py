"""What a web-config that runs may not lose by saying nothing: a file cut off on its way does so."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.web.web_config.schema import WebConfig
from exporter.web.web_config.tls import TlsServer


def losses(before: WebConfig, after: WebConfig) -> Iterator[str]:
    """`path: problem` for each door that would open only because something is missing."""
    old, new = before.tls_server_config, after.tls_server_config
    if (old is None) != (new is None):
        # Either way: nobody who scrapes would follow.
        yield "tls_server_config: TLS is switched on and off by a restart only"
    if old is not None and new is not None:
        yield from _losses_of_tls(old, new)
    if before.basic_auth_users and "basic_auth_users" not in after.model_fields_set:
        yield "basic_auth_users: is gone: {} takes the last one away, a missing key nobody"


def _losses_of_tls(old: TlsServer, new: TlsServer) -> Iterator[str]:
    if old.asks_clients and "client_auth_type" not in new.model_fields_set:
        yield (
            "tls_server_config.client_auth_type: is gone: NoClientCert asks nobody, "
            "a missing key changes nothing"
        )
    if not new.asks_clients:
        return
    # Without the first the system's CAs would do, without the second any name.
    for key in ("client_ca_file", "client_allowed_sans"):
        if getattr(old, key) is not None and getattr(new, key) is None:
            yield f"tls_server_config.{key}: is gone: a restart takes it away"
