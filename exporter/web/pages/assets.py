"""How a page is made of a template, and what pages refer to."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.web.pages.format import format_count, format_time
from exporter.web.pages.static_files import asset_url


def device_url(name: str) -> str:
    """Where a device's page is."""
    if name in (".", ".."):
        # However they are encoded, browsers take these for steps in the path.
        return f"/device?{urlencode({'name': name})}"
    return f"/device/{quote(name, safe='')}"


def probe_url(name: str) -> str:
    """Where a device's series are, in the multi-target form."""
    return f"/probe?{urlencode({'target': name})}"


# Autoescape: names, addresses and errors are whatever a file or a device says.
_TEMPLATES: Final = Environment(
    loader=PackageLoader("exporter.web.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"asset_url": asset_url, "device_url": device_url, "version": __version__}
_TEMPLATES.filters |= {"count": format_count, "utc": format_time}


def render(template: str, **values: object) -> str:
    """The page that a template makes of values."""
    return _TEMPLATES.get_template(template).render(values)


def render_problem(title: str, problem: str) -> str:
    """The page for what cannot be shown, with a way back."""
    return render("problem.html", title=title, problem=problem)
