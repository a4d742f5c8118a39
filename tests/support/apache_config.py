"""Apache httpd configured as a camera: its settings, its configuration and its ntp.cgi.

It is Debian's apache2 without the system's configuration, with prefork and mod_cgi, the simplest
pair. A second port serves `mod_status`.

Two defaults of Apache are kept: `AuthDigestNcCheck` Off, so there is no client table and no opaque,
and `AuthDigestShmemSize`, used only by that table and by one-time nonces (lifetime 0), which begin
with a counter instead of the time. A location has only one `AuthType`; for a device that offers
Basic besides Digest, `BASIC_TOO` adds that challenge as a separate header.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from tests.support.programs import LOOPBACK, Program

REALM: Final = "AXIS_ACCC8E012345"
USERNAME: Final = "root"
PASSWORD: Final = "correct horse battery staple"
BASIC_TOO: Final = (
    f"""Header always add WWW-Authenticate 'Basic realm="{REALM}"' """
    '"expr=%{REQUEST_STATUS} == 401"'
)

NTP_INFO: Final[Mapping[str, Any]] = {
    "client": {
        "enabled": True,
        "NTSEnabled": False,
        "serversSource": "static",
        "maxSupportedStaticServers": 5,
        "staticServers": ["10.1.2.3"],
        "advertisedServers": [],
        "staticNTSKEServers": [],
        "NTSKEServerCACerts": [],
        "synced": True,
        "timeToNextSync": 44,
        "timeOffset": 0.0211,
        "minpoll": 6,
        "maxpoll": 10,
    }
}
"""`data` of a getNTPInfo response of a synced device with AXIS OS 12.11."""

_MODULES_FOLDER: Final = "/usr/lib/apache2/modules"
_MODULES: Final = (
    "mpm_prefork",
    "alias",
    "auth_basic",
    "auth_digest",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_user",
    "cgi",
    "headers",
    "setenvif",
    "ssl",
    "status",
)

CGI: Final = r"""#!/bin/sh
# ntp.cgi, getNTPInfo only.
refuse() {
    printf '{"apiVersion":"1.5","error":{"code":%s,"message":"%s"}}' "$1" "$2"
    exit
}
if [ "$REQUEST_METHOD" != POST ]; then
    printf 'Status: 405 Method Not Allowed\r\nAllow: POST\r\nContent-Type: text/plain\r\n\r\n'
    exit
fi
request=$(cat)
printf 'Content-Type: application/json; charset=utf-8\r\n\r\n'
case $CONTENT_TYPE in application/json*) ;; *) refuse 2000 'Invalid request' ;; esac
case $request in *'"getNTPInfo"'*) cat info.json ;; *) refuse 4000 'Method does not exist' ;; esac
"""

_CONFIG: Final = """
ServerRoot "{root}"
DefaultRuntimeDir "{root}"
PidFile "{root}/pid"
ErrorLog "{root}/apache.log"
ServerName {loopback}
{user}
{modules}
StartServers 3
Listen {host}:{port}
Listen {loopback}:{status_port}
KeepAliveTimeout {keepalive_timeout_seconds}
LogFormat "{log_format}" requests

<VirtualHost *:{port}>
    CustomLog "{root}/requests.log" requests
    ScriptAlias /axis-cgi/ "{public}/"
    <Location /axis-cgi/>
        {auth}
        AuthName "{realm}"
        AuthUserFile "{public}/users"
        Require valid-user
    </Location>
    {directives}
</VirtualHost>

<VirtualHost {loopback}:{status_port}>
    KeepAlive Off
    <Location /server-status>
        SetHandler server-status
    </Location>
</VirtualHost>
"""

# Apache writes quotes in a header as \", as JSON does.
_LOG_FORMAT: Final = json.dumps(
    {
        "status": "%>s",
        "user": "%u",
        "connection": "%{remote}p",
        "kept": "%k",
        "authorization": "%{Authorization}i",
        "challenge": "%{WWW-Authenticate}o",
        "host": "%{Host}i",
    }
).replace('"', r"\"")


@dataclass(frozen=True)
class ApacheSettings:
    """The settings of a device; with a `certificate` (PEM, with its key) it serves HTTPS.

    `host` is where it listens; `port` 0: any free port. `directives` are more lines of the
    configuration. `env` is added to Apache's environment, for example for libfaketime.
    """

    host: str = LOOPBACK
    port: int = 0
    auth: Literal["digest", "basic"] = "digest"
    nonce_lifetime_seconds: int = 300
    keepalive_timeout_seconds: int = 5
    certificate: Path | None = None
    directives: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


def account_line(auth: Literal["digest", "basic"], password: str) -> str:
    """Return the account in the format of htdigest or htpasswd."""
    if auth == "digest":
        secret = hashlib.md5(f"{USERNAME}:{REALM}:{password}".encode()).hexdigest()
        return f"{USERNAME}:{REALM}:{secret}\n"
    secret = base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
    return f"{USERNAME}:{{SHA}}{secret}\n"


@dataclass(frozen=True)
class Places:
    """The folders of a device (its workers can read `public`) and its ports."""

    root: Path
    public: Path
    port: int
    status_port: int

    def has_ports(self, _program: Program) -> bool:
        """Return whether Apache serves: it writes its process id after it has opened its ports."""
        return (self.root / "pid").exists()


def render_config(settings: ApacheSettings, places: Places) -> str:
    """Return the configuration file."""
    return _CONFIG.format(
        loopback=LOOPBACK,
        host=settings.host,
        root=places.root,
        public=places.public,
        port=places.port,
        status_port=places.status_port,
        realm=REALM,
        # When started as root, Apache needs another user for its workers.
        user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
        modules="\n".join(map(_load_module, _MODULES)),
        log_format=_LOG_FORMAT,
        keepalive_timeout_seconds=settings.keepalive_timeout_seconds,
        auth=_auth_directives(settings),
        directives="\n".join([*_tls_directives(settings), *settings.directives]),
    )


def _load_module(name: str) -> str:
    return f"LoadModule {name}_module {_MODULES_FOLDER}/mod_{name}.so"


def _auth_directives(settings: ApacheSettings) -> str:
    if settings.auth == "basic":
        return "AuthType Basic\nAuthBasicProvider file"
    return (
        "AuthType Digest\nAuthDigestProvider file\n"
        f"AuthDigestNonceLifetime {settings.nonce_lifetime_seconds}"
    )


def _tls_directives(settings: ApacheSettings) -> list[str]:
    if settings.certificate is None:
        return []
    return ["SSLEngine on", f'SSLCertificateFile "{settings.certificate}"']
