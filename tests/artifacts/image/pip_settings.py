"""This machine's pip settings as secrets of the build: another index, a proxy, a CA of its own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PASSED_ON: Final = {
    "default-timeout",
    "extra-index-url",
    "index-url",
    "proxy",
    "timeout",
    "trusted-host",
}
_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def pip_secrets(folder: Path) -> dict[str, Path]:
    """Return the secrets that the Dockerfile names, each with its file; `folder` gets new ones."""
    settings = dict(_settings())
    lines = [f"{name} = {value}" for name, value in settings.items() if name in _PASSED_ON]
    ca = settings.get("cert") or next(filter(None, map(os.environ.get, _CA_VARIABLES)), None)
    if ca is not None:
        lines.append("cert = /run/secrets/ca.pem")
    file = folder / "pip.conf"
    file.touch(0o600)
    file.write_text("\n".join(["[global]", *lines, ""]))
    return {"pip.conf": file} | ({"ca.pem": Path(ca)} if ca is not None else {})


def _settings() -> Iterator[tuple[str, str]]:
    """Yield name and value of each setting of pip; the environment comes last, so that it wins."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        # Folders of this machine do not exist where the image is built.
        words = [word for word in ast.literal_eval(value).split() if not word.startswith("file:")]
        if words:
            yield key.rpartition(".")[2], " ".join(words)
