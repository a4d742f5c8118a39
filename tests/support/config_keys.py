"""The keys of a config file, to compare with docs and examples."""

from pydantic import BaseModel

from exporter.config.errors import _all_places, _keys


def keys_of(root: type[BaseModel]) -> list[str]:
    """Return every key of a section and of those inside it, as the file spells it."""
    return sorted({key for place in _all_places(root) for key in _keys(place.section)})
