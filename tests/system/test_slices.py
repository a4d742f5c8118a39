"""Long work on the event loop lets other tasks run."""

import pytest

from exporter.system import slices
from exporter.system.slices import free_in_slices, in_slices
from tests.support.turns import counting_turns


async def test_other_tasks_run_between_slices_and_every_item_comes_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    async with counting_turns() as turns:
        assert [item async for item in in_slices(range(100))] == [*range(100)]
    assert turns.count >= 100


async def test_short_work_is_one_slice() -> None:
    async with counting_turns() as turns:
        assert [item async for item in in_slices(range(3))] == [0, 1, 2]
    assert turns.count == 0


async def test_freeing_in_slices_empties_the_list() -> None:
    objects: list[object] = [object() for _ in range(1000)]
    await free_in_slices(objects)
    assert objects == []
