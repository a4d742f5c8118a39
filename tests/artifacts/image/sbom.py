"""Build the image and write its SBOM: `python -m tests.artifacts.image.sbom FILE`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.artifacts.image.engine import engine, missing
from tests.artifacts.sbom import write_sbom


def main() -> None:
    """Build, copy the environment out, write the file."""
    if reason := missing():
        sys.exit(f"make sbom: {reason}")
    with engine() as made, tempfile.TemporaryDirectory() as folder:
        made.build()
        environment = Path(folder) / "environment"
        made.copy_environment(environment)
        write_sbom(environment, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
