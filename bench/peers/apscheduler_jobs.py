"""The peer of the dispatcher: APScheduler 3 with its SQLAlchemyJobStore, one date job per order.

Prints the ms from each job's due instant to its run, as a JSON list.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from datetime import UTC, datetime, timedelta

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

delays: list[float] = []
done = asyncio.Semaphore(0)


async def decide(due: str) -> None:
    """Note how late it is."""
    late = datetime.now(UTC) - datetime.fromisoformat(due)
    delays.append(late / timedelta(milliseconds=1))
    done.release()


async def main(count: int, over_s: float) -> None:
    """Run every job."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLAlchemyJobStore(url=f"sqlite:///{folder}/jobs.db")
        scheduler = AsyncIOScheduler(
            jobstores={"default": store},
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        chance = random.Random(1)
        start = datetime.now(UTC) + timedelta(seconds=30)  # it needs its time to store them
        for _ in range(count):
            due = start + timedelta(seconds=chance.uniform(0, over_s))
            scheduler.add_job(decide, "date", run_date=due, args=[due.isoformat()])
        scheduler.start()
        async with asyncio.timeout(over_s * 5):
            await asyncio.gather(*(done.acquire() for _ in range(count)))
        scheduler.shutdown(wait=False)
    print(json.dumps(delays))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
