"""`check` as a subprocess, with the config of a simulated fleet or without a config."""

from pathlib import Path

from tests.support.command_process import Run, Site, running


async def check(*words: str, typed: bytes = b"", folder: Path, **environment: str) -> Run:
    """Run `check` in a folder to its end."""
    async with running("check", *words, typed=typed, folder=folder, environment=environment) as run:
        pass
    return run


async def check_site(here: Site, *words: str, **environment: str) -> Run:
    """Run `check` with the site's config to its end."""
    words = (f"--config.file={here.write_config()}", *words)
    async with running("check", *words, folder=here.folder, environment=environment) as run:
        pass
    return run


def empty_folder(folder: Path) -> Path:
    """Make a folder without a config.yaml."""
    empty = folder / "empty"
    empty.mkdir()
    return empty
