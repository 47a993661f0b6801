"""What a slow reader of a task's states sees."""

import asyncio

from stalk.celery.listener import Watch
from stalk.celery.state import TaskState


def test_end_that_comes_while_the_reader_is_busy_is_not_missed() -> None:
    async def read() -> list[str]:
        watch = Watch("id")
        watch.put(TaskState("id", "PENDING"))
        seen = []
        async for state in watch.states():
            seen.append(state.status)
            if state.status == "PENDING":
                watch.put(TaskState("id", "PROGRESS"))
                watch.put(TaskState("id", "SUCCESS", result=1))
        return seen

    assert asyncio.run(asyncio.wait_for(read(), 5)) == ["PENDING", "SUCCESS"]


def test_nothing_follows_the_end() -> None:
    async def read() -> list[str]:
        watch = Watch("id")
        watch.put(TaskState("id", "SUCCESS", result=1))
        watch.put(TaskState("id", "PROGRESS"))
        return [state.status async for state in watch.states()]

    assert asyncio.run(asyncio.wait_for(read(), 5)) == ["SUCCESS"]
