"""`check` as a subprocess, with the config of a simulated fleet or without a config."""

from pathlib import Path

from tests.support.command_process import CommandSite, Run, running_command


async def check(*words: str, typed: bytes = b"", folder: Path, **environment: str) -> Run:
    """`check` in a folder, to its end."""
    async with running_command(
        "check", *words, typed=typed, folder=folder, environment=environment
    ) as run:
        pass
    return run


async def check_site(here: CommandSite, *words: str, **environment: str) -> Run:
    """`check` with the site's config."""
    words = (f"--config.file={here.write_config()}", *words)
    async with running_command("check", *words, folder=here.folder, environment=environment) as run:
        pass
    return run


def empty_folder(folder: Path) -> Path:
    """Make a folder without a config.yaml."""
    empty = folder / "empty"
    empty.mkdir()
    return empty
