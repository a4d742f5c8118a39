"""The format and encoding of series follow Accept and Accept-Encoding, and say what is true."""

import time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder, gzip_accepted

from exporter.web.negotiation import (
    MAX_ELEMENTS,
    MAX_HEADER_CHARACTERS,
    accepts_gzip,
    negotiate_format,
)

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1: Final = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OM: Final = "application/openmetrics-text"

ACCEPTS: Final = {
    # Prometheus 2 and 3, as they send it (scrape.go: `acceptHeader`).
    f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": (
        f"{OPENMETRICS}; escaping=underscores"
    ),
    f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,{OM};version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2": (f"{OPENMETRICS}; escaping=allow-utf-8"),
    # Prometheus 3 with `scrape_protocols: [PrometheusText1.0.0, OpenMetricsText1.0.0]`.
    f"text/plain;version=1.0.0;escaping=underscores;q=0.6,{OM};version=1.0.0;q=0.5,*/*;q=0.4": (
        TEXT_1
    ),
    # With protobuf first, which is not served.
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4": TEXT,
    # Schemes that would rename our names are not applied, and not answered.
    f"{OM};version=1.0.0;escaping=values": f"{OPENMETRICS}; escaping=underscores",
    f"{OM};version=1.0.0;escaping=dots": f"{OPENMETRICS}; escaping=underscores",
    "text/plain;version=1.0.0;escaping=values": TEXT_1,
    "text/plain;version=1.0.0;escaping=\r\nX: y": TEXT_1,
    # A version that is not written is not answered.
    f"{OM};version=2.0.0": TEXT,
    f"{OM};version=2.0.0,{OM};version=1.0.0;q=0.1": f"{OPENMETRICS}; escaping=underscores",
    "text/plain;version=2.0.0": TEXT,
    f"{OM}": f"{OPENMETRICS}; escaping=underscores",
    # Weights.
    f"{OM};version=1.0.0;q=0,text/plain": TEXT,
    f"{OM};q=0,*/*": TEXT,
    f"{OM};q=0.2,text/plain;version=0.0.4;q=0.3": TEXT,
    f"text/plain;q=0.2,{OM};q=0.3": f"{OPENMETRICS}; escaping=underscores",
    f"text/plain;q=0,{OM};q=0.001": f"{OPENMETRICS}; escaping=underscores",
    "text/plain;version=0.0.4;q=0.1,text/plain;version=1.0.0": TEXT_1,
    "text/*;q=0,*/*": f"{OPENMETRICS}; escaping=underscores",
    "*/*;q=0": TEXT,
    # Equal weights: named before `*`, then from the left.
    f"*/*,{OM}": f"{OPENMETRICS}; escaping=underscores",
    f"text/plain,{OM}": TEXT,
    f"{OM},text/plain": f"{OPENMETRICS}; escaping=underscores",
    # Browsers and curl; case, spaces and quotes.
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": TEXT,
    "*/*": TEXT,
    "text/*": TEXT,
    "": TEXT,
    ' Application/OpenMetrics-Text ; Version="1.0.0" ; Q=1 ': (
        f"{OPENMETRICS}; escaping=underscores"
    ),
    f'text/html;x="a,{OM};q=1",text/plain;q=0.1': TEXT,
    # A malformed element counts as none.
    f"{OM};q=x": TEXT,
    f"{OM};q=nan": TEXT,
    f"{OM};q=1e0": TEXT,
    f"{OM};q=-1": TEXT,
    f"{OM};q=2": TEXT,
    f"{OM};version=x": TEXT,
    f'text/html;x="{OM}': TEXT,
    f"{OM},{',' * MAX_HEADER_CHARACTERS}": TEXT,
    f"{'a,' * MAX_ELEMENTS}{OM}": TEXT,
}


@pytest.mark.parametrize(("accept", "content_type"), ACCEPTS.items())
def test_the_format_is_the_one_that_accept_prefers(accept: str, content_type: str) -> None:
    form, answered = negotiate_format([accept])
    assert answered == content_type
    assert form.is_openmetrics == content_type.startswith(OM)


def test_several_headers_are_one_list() -> None:
    assert negotiate_format(["text/plain;q=0.1", OM])[0].is_openmetrics


@pytest.mark.parametrize("escaping", ["", "allow-utf-8", "underscores", "dots", "values", "x"])
@pytest.mark.parametrize("media_type", [OM, "text/plain"])
def test_no_scheme_renames_a_series(media_type: str, escaping: str) -> None:
    registry = CollectorRegistry()
    Gauge("axis_ntp_exporter_devices", "Devices.", registry=registry).set(1)
    form, _ = negotiate_format([f"{media_type};version=1.0.0;escaping={escaping}"])
    assert b"\naxis_ntp_exporter_devices 1.0\n" in form.encode(registry)


ENCODINGS: Final = {
    "": False,
    "gzip": True,
    "GZIP ; Q=0.5": True,
    "x-gzip": True,
    "deflate, gzip, br, zstd": True,
    "identity": False,
    "gzip;q=0": False,
    "gzip; q=0.0, identity": False,
    "gzip;q=0.5, identity;q=1": False,
    "gzip;q=0.5, identity;q=0.5": True,
    "gzip;q=0.5, *;q=0.8": False,
    "gzip, *;q=0": True,
    "*": False,
    "*;q=0.5, identity;q=0": True,
    "*;q=0": False,
    "identity;q=0": False,
    "gzip;q=x": False,
    "gzip" + "," * MAX_HEADER_CHARACTERS: False,
}


@pytest.mark.parametrize(("accepted", "zipped"), ENCODINGS.items())
def test_gzip_follows_the_weights(accepted: str, zipped: bool) -> None:  # noqa: FBT001
    assert accepts_gzip([accepted]) == zipped


WORDS: Final = (
    *(OM, "text/plain", "text/*", "*/*", "*", "gzip", "identity", "version", "escaping", "q"),
    *(
        "1.0.0",
        "0.0.4",
        "2.0.0",
        "values",
        "0.5",
        "0",
        "1",
        ",",
        ",",
        ";",
        ";",
        "=",
        '"',
        "\\",
        " ",
    ),
)
HEADERS: Final = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=40).map("".join)


@given(st.lists(HEADERS, max_size=3))
def test_any_header_gets_an_answer_that_is_true(headers: list[str]) -> None:
    form, content_type = negotiate_format(headers)
    truths = [form.content_type(escaping) for escaping in ("underscores", "allow-utf-8")]
    assert content_type in truths
    assert accepts_gzip(headers) in (True, False)


NAMED: Final = (f"{OM};version=1.0.0", OM, f"{OM};version=0.0.1", "text/plain", "text/html")


@given(st.lists(st.sampled_from(NAMED), max_size=6).map(sorted))
def test_without_weights_the_answer_is_that_of_prometheus_client(ranges: list[str]) -> None:
    # Sorted, because prometheus-client prefers OpenMetrics to text wherever it stands.
    accept = ",".join(ranges)
    theirs = choose_encoder(accept)[1]
    assert negotiate_format([accept])[1].removesuffix("; escaping=underscores") == (
        theirs.removesuffix("; escaping=underscores")
    )
    assert accepts_gzip([accept]) == gzip_accepted(accept)


@pytest.mark.parametrize(
    "piece",
    [",", "a,", '"', '\\"', '",', ";", "a;q=0,", f"{OM};q=0.1,", "*/*,", "q=" + "1" * 3000, "\\"],
)
def test_the_worst_header_costs_little(piece: str) -> None:
    header = (piece * MAX_HEADER_CHARACTERS)[:MAX_HEADER_CHARACTERS]
    costs = []
    for _ in range(3):
        began = time.thread_time()
        negotiate_format([header])
        accepts_gzip([header])
        costs.append(time.thread_time() - began)
    assert min(costs) < 0.1
