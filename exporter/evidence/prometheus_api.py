"""Ask Prometheus, Thanos or Mimir over the HTTP API that they have in common.

Raw samples come from an instant query of a range selector: nothing is interpolated.
"""

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import aiohttp
from yarl import URL

from exporter.config.http_client import HttpClientConfig
from exporter.discovery.http_errors import describe_error
from exporter.discovery.http_get import JsonReply, get_json
from exporter.discovery.http_request import PreparedRequest, prepare_request
from exporter.system.text import escaped

TIMEOUT_SECONDS: Final = 60.0

MAX_ANSWER_BYTES: Final = 32 * 2**20
"""Some thousand times the answer for one device; all names of 50,000 devices are 5 MB."""

_LARGEST: Final = 1e15
"""Larger times and values are none of ours: as nanoseconds they might be no finite numbers."""

_MAX_TEXT: Final = 300
"""The longest text of the server that is repeated."""

_MAX_WARNINGS: Final = 10
"""The most warnings that are repeated."""

_FOR_THANOS: Final = {
    "dedup": "false",
    "max_source_resolution": "0s",
    "partial_response": "false",
}
"""Thanos joins the replicas of Prometheus per series, answers from averages, and leaves out what a
store that is away has, if it may.

Prometheus and Mimir ignore the parameters.
"""


class PrometheusFailed(Exception):
    """Prometheus cannot be asked, or does not answer the question; `str()` says why."""


class QueryAnswer(NamedTuple):
    """A query for the record: its URL and the SHA-256 of the answer's bytes."""

    url: str
    sha256: str


class RawSeries(NamedTuple):
    """A series with its samples (Unix seconds, value), oldest first; without absurd values."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float]]


class PrometheusApi:
    """The HTTP API below a URL. `answers` and `warnings` are those of all queries so far."""

    def __init__(self, base_url: str, config: HttpClientConfig) -> None:
        self._base = URL(f"{base_url.rstrip('/')}/api/v1/")
        self._config = config
        self._request: PreparedRequest | None = None
        self.answers: list[QueryAnswer] = []
        self.warnings: list[str] = []

    async def query(self, expression: str, at_seconds: float) -> list[RawSeries]:
        """Return the result of an instant query. Raises `PrometheusFailed`."""
        found = await self._get("query", {"query": expression, "time": f"{at_seconds:.3f}"})
        return _series_of(found)

    async def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> list[RawSeries]:
        """Return the result of a range query. Raises `PrometheusFailed`."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return _series_of(await self._get("query_range", {"query": expression, **times}))

    async def label_values(self, label: str, selector: str) -> list[str]:
        """Return the values that a label has in the series of a selector."""
        found = await self._get(f"label/{label}/values", {"match[]": selector})
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise _not_prometheus()
        return found

    async def _get(self, path: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
        url = self._base.join(URL(path)).with_query({**parameters, **_FOR_THANOS})
        reply = await self._fetch(url)
        self.answers.append(QueryAnswer(str(url), hashlib.sha256(reply.body).hexdigest()))
        document = await asyncio.to_thread(_parse, reply)
        warnings = document.get("warnings")
        texts = map(_quoted, warnings) if isinstance(warnings, list) else ()
        known = dict.fromkeys([*self.warnings, *filter(None, texts)])
        self.warnings = [*known][:_MAX_WARNINGS]
        return document.get("data")

    async def _fetch(self, url: URL) -> JsonReply:
        try:
            if self._request is None:
                self._request = await asyncio.to_thread(prepare_request, self._config)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await get_json(str(url), self._config, self._request, {}, MAX_ANSWER_BYTES)
        except TimeoutError:
            raise PrometheusFailed(f"no response within {TIMEOUT_SECONDS:g} s") from None
        except aiohttp.ClientError as error:
            raise PrometheusFailed(describe_error(error)) from None
        except ValueError as error:
            raise PrometheusFailed(str(error)) from None


def selector_of(matchers: Mapping[str, str], names: Sequence[str] = ()) -> str:
    """Return the PromQL selector of series with these labels, and one of these names."""
    parts = [f'__name__=~"{"|".join(names)}"'] if names else []
    parts += [f"{label}={quote(value)}" for label, value in matchers.items()]
    return f"{{{','.join(parts)}}}"


def quote(text: str) -> str:
    """Return a text as a PromQL string."""
    escapes = {"\\": r"\\", '"': r"\"", "\n": r"\n"}
    return f'"{"".join(escapes.get(each, each) for each in text)}"'


def _parse(reply: JsonReply) -> dict[str, Any]:
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise _not_prometheus() from None
    if not isinstance(document, dict):
        raise _not_prometheus()
    if reply.status == HTTPStatus.OK and document.get("status") == "success":
        return document
    said = _quoted(document.get("error")) or "no reason given"
    raise PrometheusFailed(f"HTTP {reply.status}: {said}")


def _series_of(found: Any) -> list[RawSeries]:  # noqa: ANN401 - JSON
    """Return the series of a vector or a matrix. Raises `PrometheusFailed`."""
    try:
        return [_one_series(each) for each in found["result"]]
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        raise _not_prometheus() from None


def _one_series(found: dict[str, Any]) -> RawSeries:
    labels = {str(name): str(value) for name, value in found["metric"].items()}
    pairs = found["values"] if "values" in found else [found["value"]]
    samples = [(float(when), float(value)) for when, value in pairs]
    return RawSeries(labels, sorted(pair for pair in samples if all(map(_is_usable, pair))))


def _is_usable(number: float) -> bool:
    return math.isfinite(number) and abs(number) < _LARGEST


def _quoted(text: object) -> str:
    return escaped(text[:_MAX_TEXT]) if isinstance(text, str) else ""


def _not_prometheus() -> PrometheusFailed:
    return PrometheusFailed("the answer is not that of Prometheus's HTTP API")
