"""Chooses the format and encoding of series by `Accept` and `Accept-Encoding` (RFC 9110 §12).

Not by prometheus-client: it ignores weights, repeats versions that it does not write, and renames
series for some values of `escaping`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

MAX_HEADER_CHARACTERS: Final = 4096
"""A longer header is ignored: Prometheus sends about 300 characters."""

MAX_ELEMENTS: Final = 64
"""Those after it are ignored: Prometheus sends 5."""

_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')
_PARAMETER: Final = re.compile(r'(?:[^;"]|"(?:\\.|[^"\\])*"?)+')
_WEIGHT: Final = re.compile(r"0?\.[0-9]+|0\.?|1(?:\.0*)?")

_UNDERSCORES: Final = "underscores"
_TRUE_ESCAPINGS: Final = (_UNDERSCORES, "allow-utf-8")
"""The schemes under which our names stay as they are; `dots` and `values` would rename them."""


class Format(NamedTuple):
    """A format of series; `encode` writes the exporter's own in it."""

    media_type: str
    version: str
    encode: Callable[[Collector], bytes] = generate_latest

    @property
    def is_openmetrics(self) -> bool:
        """Whether the series have OpenMetrics' heads and end."""
        return self.media_type == _OPENMETRICS_TYPE

    def content_type(self, escaping: str) -> str:
        """Return the header; from version 1.0.0 on it contains how names are escaped."""
        suffix = "" if self.version == "0.0.4" else f"; escaping={escaping}"
        return f"{self.media_type}; version={self.version}; charset=utf-8{suffix}"


_OPENMETRICS_TYPE: Final = "application/openmetrics-text"
TEXT: Final = Format("text/plain", "0.0.4")
OPENMETRICS: Final = Format(_OPENMETRICS_TYPE, "1.0.0", openmetrics.generate_latest)
TEXT_1: Final = Format("text/plain", "1.0.0")
_FORMATS: Final = (TEXT, OPENMETRICS, TEXT_1)
"""Between formats that a client wants equally, the first."""


class _Range(NamedTuple):
    """An element of a header: what it names, its parameters and weight, its place from the left."""

    name: str
    parameters: Mapping[str, str]
    weight: float
    place: int

    def specificity(self, form: Format) -> int:
        """Return how closely the range names a format (RFC 9110 §12.5.1); 0 if it does not."""
        major = form.media_type.partition("/")[0]
        names = ("*/*", f"{major}/*", form.media_type)
        version = self.parameters.get("version", "")
        if self.name not in names or version not in ("", form.version):
            return 0
        return 1 + names.index(self.name) + bool(version)


def negotiate_format(headers: Iterable[str]) -> tuple[Format, str]:
    """Return the format that the `Accept` headers prefer, and its content type; else text 0.0.4."""
    ranges = list(_parse(headers))
    best: tuple[tuple[float, bool, int], Format, _Range] | None = None
    for form in _FORMATS:
        found = max(ranges, key=lambda each: each.specificity(form), default=None)
        if found is None or not found.specificity(form) or not found.weight:
            continue
        # As Prometheus's own library: by weight, before `*`, from the left.
        rank = (found.weight, "*" not in found.name, -found.place)
        if best is None or rank > best[0]:
            best = rank, form, found
    form, escaping = (best[1], best[2].parameters.get("escaping")) if best else (TEXT, None)
    return form, form.content_type(escaping if escaping in _TRUE_ESCAPINGS else _UNDERSCORES)


def prefers_html(headers: Iterable[str]) -> bool:
    """Return whether the `Accept` headers name HTML and prefer it to text, as browsers do."""
    weights = {each.name: each.weight for each in _parse(headers)}
    return weights.get("text/html", 0.0) > weights.get("text/plain", 0.0)


def accepts_gzip(headers: Iterable[str]) -> bool:
    """Return whether the `Accept-Encoding` headers prefer gzip to no compression."""
    weights = {each.name: each.weight for each in _parse(headers)}
    others = weights.get("*", 0.0)
    plain = weights.get("identity", others)
    named = weights.get("gzip", weights.get("x-gzip"))
    return others > plain if named is None else named > 0 and named >= plain


def _parse(headers: Iterable[str]) -> Iterator[_Range]:
    """Yield the well-formed elements of a header."""
    text = ",".join(headers)
    if len(text) > MAX_HEADER_CHARACTERS:
        return
    for place, element in enumerate(_ELEMENT.findall(text)[:MAX_ELEMENTS]):
        name, *pairs = _PARAMETER.findall(element) or [""]
        parameters = dict(map(_parse_parameter, pairs))
        weight = parameters.get("q", "1")
        if _WEIGHT.fullmatch(weight):
            yield _Range(name.strip().lower(), parameters, float(weight), place)


def _parse_parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')
