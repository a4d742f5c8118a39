"""What makes Apache httpd a camera: its settings, its configuration and its ntp.cgi.

Debian's apache2 with nothing of the system's configuration. Prefork with mod_cgi, the pair
with the fewest parts. A second port is for `mod_status`.

Left at Apache's defaults: `AuthDigestNcCheck` Off, so no client table and no opaque, and
`AuthDigestShmemSize`, which only that table uses (and one-time nonces, lifetime 0: their
nonces then begin with a counter instead of the time). One location has one `AuthType`: where
a device offers Basic beside Digest, `BASIC_TOO` adds that challenge as a header of its own.
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
"""`data` of a getNTPInfo answer as a synced device of AXIS OS 12.11 gives it."""

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
Listen {loopback}:{port}
Listen {loopback}:{status_port}
KeepAliveTimeout {keepalive_timeout_seconds}
LogFormat "{log_format}" requests

<VirtualHost {loopback}:{port}>
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

# Apache writes the quotes within a header as \", which is JSON's way too.
_LOG_FORMAT: Final = json.dumps(
    {
        "status": "%>s",
        "user": "%u",
        "connection": "%{remote}p",
        "kept": "%k",
        "authorization": "%{Authorization}i",
        "challenge": "%{WWW-Authenticate}o",
    }
).replace('"', r"\"")


@dataclass(frozen=True)
class ApacheSettings:
    """What a device is like; `certificate` (PEM, with its key) makes it speak HTTPS.

    `port` 0 is any free one, `directives` are further lines of its configuration, `env` is
    added to Apache's environment (libfaketime's variables, say).
    """

    port: int = 0
    auth: Literal["digest", "basic"] = "digest"
    nonce_lifetime_seconds: int = 300
    keepalive_timeout_seconds: int = 5
    certificate: Path | None = None
    directives: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


def account_line(auth: Literal["digest", "basic"], password: str) -> str:
    """The account, in htdigest's or htpasswd's format."""
    if auth == "digest":
        secret = hashlib.md5(f"{USERNAME}:{REALM}:{password}".encode()).hexdigest()
        return f"{USERNAME}:{REALM}:{secret}\n"
    secret = base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
    return f"{USERNAME}:{{SHA}}{secret}\n"


@dataclass(frozen=True)
class Places:
    """Where a device's files are (`public` its workers can read) and its ports."""

    root: Path
    public: Path
    port: int
    status_port: int

    def has_ports(self, _program: Program) -> bool:
        """Whether Apache has started to serve: it writes its process id once it has its ports."""
        return (self.root / "pid").exists()


def render_config(settings: ApacheSettings, places: Places) -> str:
    """The whole configuration file."""
    return _CONFIG.format(
        loopback=LOOPBACK,
        root=places.root,
        public=places.public,
        port=places.port,
        status_port=places.status_port,
        realm=REALM,
        # As root Apache insists on somebody else for its workers.
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
