"""What the command line sets of the web server."""

from dataclasses import dataclass
from pathlib import Path

from exporter.system.addresses import is_loopback
from exporter.web.limits import MAX_CONNECTIONS
from exporter.web.paths import NO_PREFIX, WebPaths


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Addresses to listen on as (host, port), where an empty host means every interface.

    `config_file` is a web-config: TLS, users and headers. `grafana_url` has no slash at its end.
    """

    listen: tuple[tuple[str, int], ...]
    telemetry_path: str = "/metrics"
    config_file: Path | None = None
    max_connections: int = MAX_CONNECTIONS
    grafana_url: str = ""
    paths: WebPaths = NO_PREFIX

    @property
    def loopback_only(self) -> bool:
        """Whether no other host can connect."""
        return all(is_loopback(host) for host, _ in self.listen)
