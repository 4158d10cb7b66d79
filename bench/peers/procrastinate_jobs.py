"""The peer of the dispatcher: procrastinate on PostgreSQL, one scheduled task per order.

Prints the ms from each task's due instant to its run, as a JSON list.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from datetime import UTC, datetime, timedelta

from procrastinate import App, PsycopgConnector

from tests.postgres import server

delays: list[float] = []
done = asyncio.Semaphore(0)


async def main(address: str, count: int, over_s: float) -> None:
    """Run every task."""
    app = App(connector=PsycopgConnector(conninfo=f"postgresql://postgres@{address}/postgres"))

    @app.task(name="decide")
    async def decide(due: str) -> None:
        late = datetime.now(UTC) - datetime.fromisoformat(due)
        delays.append(late / timedelta(milliseconds=1))
        done.release()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        chance = random.Random(1)
        start = datetime.now(UTC) + timedelta(seconds=20)
        for _ in range(count):
            due = start + timedelta(seconds=chance.uniform(0, over_s))
            await app.configure_task("decide", schedule_at=due).defer_async(due=due.isoformat())
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=20, install_signal_handlers=False)
        )
        async with asyncio.timeout(over_s * 5):
            await asyncio.gather(*(done.acquire() for _ in range(count)))
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    print(json.dumps(delays))


if __name__ == "__main__":
    with server() as at:
        asyncio.run(main(at, int(sys.argv[1]), float(sys.argv[2])))
