"""Every source asked once: what commands other than the daemon need."""

from __future__ import annotations

import asyncio

from exporter.config import Config, DeviceConfig
from exporter.discovery.admission import Source, accept_targets
from exporter.discovery.http_sd import Mechanism, RefreshFailed, RefreshResult, mechanisms


async def with_discovered(config: Config) -> tuple[Config, list[str]]:
    """The config with the devices that its sources tell of, and what was wrong with any."""
    found: dict[Source, tuple[DeviceConfig, ...]] = {}
    problems: list[str] = []
    asked = list(mechanisms(config).values())
    answers = await asyncio.gather(*map(_asked, asked))
    for mechanism, answer in zip(asked, answers, strict=True):
        for told in answer:
            source = Source(mechanism.name, told.source)
            found[source] = told.targets.entries if told.targets else ()
            left_out = told.targets.problems if told.targets else (told.problem,)
            problems.extend(f"{told.source}: {problem}" for problem in left_out)
    admission = accept_targets(config, found)
    for source, refused in admission.problems.items():
        problems.extend(f"{source.name}: {problem}" for problem in refused)
    devices = (*config.devices, *admission.entries)
    return config.model_copy(update={"devices": devices}), problems


async def _asked(mechanism: Mechanism) -> list[RefreshResult]:
    try:
        return await mechanism.refresh()
    except RefreshFailed as problem:
        return [RefreshResult(origin, None, str(problem)) for origin in mechanism.origins]
