"""Start the command line: the command `axis-ntp-exporter`, and `python -m exporter`.

This module stands beside the package, because PyPI has another package called `exporter`, whose
files can replace ours or hide them. So nothing of ours is imported before it is known to be ours.
"""

import importlib.util
import sys
from typing import Final, NoReturn

PROGRAM: Final = "axis-ntp-exporter"


def main() -> NoReturn:
    """Run the command line and exit; with 1 and one sentence if the package is not ours."""
    try:
        import exporter  # noqa: PLC0415 - another package of this name may fail to import
    except Exception:  # noqa: BLE001 - by any error
        sys.exit(_problem())
    if getattr(exporter, "PROGRAM", None) != PROGRAM:
        sys.exit(_problem())
    try:
        from exporter.cli import main as run_command_line  # noqa: PLC0415 - ours is known now

        run_command_line()
    except SyntaxError:
        sys.exit(_problem())
    except ImportError as error:
        # Another package may have replaced or removed single modules.
        if (error.name or "").partition(".")[0] != "exporter":
            raise
        sys.exit(_problem())


def _problem() -> str:
    found = importlib.util.find_spec("exporter")
    where = found.origin if found is not None and found.origin else "nothing"
    return (
        f"{PROGRAM}: its Python package `exporter` is damaged, or hidden by another one of that "
        f"name (Python finds {where}). Install {PROGRAM} again, into an environment of its own "
        "(python3 -m venv, pipx, uv tool), and start it without PYTHONPATH."
    )


if __name__ == "__main__":
    main()
