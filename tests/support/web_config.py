"""Web-config files for tests: an account, TLS, and the header that logs in."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bcrypt
import yaml

PASSWORD = "s3cret-pässword: of alice"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ALICE = {"basic_auth_users": {"alice": HASH}}
TLS: dict[str, Any] = {"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key"}}


def basic(credentials: str | bytes, scheme: str = "Basic") -> dict[str, str]:
    """Return the header that carries `name:password`."""
    raw = credentials.encode() if isinstance(credentials, str) else credentials
    return {"Authorization": f"{scheme} {base64.b64encode(raw).decode()}"}


AS_ALICE = basic(f"alice:{PASSWORD}")


def write(folder: Path, config: Mapping[str, Any] | str) -> Path:
    """Write `web.yml` and replace the old file in one step."""
    text = config if isinstance(config, str) else yaml.safe_dump(dict(config))
    file, new = folder / "web.yml", folder / "web.yml.new"
    new.write_text(text)
    os.replace(new, file)  # noqa: PTH105 - says what it does
    return file
