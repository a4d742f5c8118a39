"""A text of the whole fleet is made once per change, and never twice at once."""

import asyncio
from collections.abc import Sequence

import pytest

from exporter.web.rendered_text import RenderedText


class Work:
    """Something that changes, and a renderer that counts."""

    def __init__(self) -> None:
        self.source: list[object] = [object()]
        self.renders = 0

    def render(self, source: Sequence[object]) -> str:
        self.renders += 1
        return f"{len(source)} of render {self.renders}"


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def text(work: Work) -> RenderedText[object]:
    return RenderedText(lambda: work.source, work.render)


async def test_it_is_made_once_for_all(work: Work, text: RenderedText[object]) -> None:
    found = await asyncio.gather(*(text.body() for _ in range(50)))
    work.source = list(work.source)
    assert {*found, await text.body()} == {b"1 of render 1"}


@pytest.mark.parametrize("change", ["another", "more", "fewer"])
async def test_it_is_made_again_after_a_change(
    change: str, work: Work, text: RenderedText[object]
) -> None:
    await text.body()
    work.source = {"another": [object()], "more": [*work.source, object()], "fewer": []}[change]
    found = await asyncio.gather(*(text.body() for _ in range(50)))
    assert set(found) == {f"{len(work.source)} of render 2".encode()}


async def test_an_empty_fleet_has_a_text(work: Work, text: RenderedText[object]) -> None:
    work.source = []
    assert await text.body() == b"0 of render 1"


async def test_after_a_failure_the_next_request_tries_again(
    work: Work, text: RenderedText[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(text, "_render", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await text.body()
    assert await text.body() == b"1 of render 1"
    assert work.renders == 1
