"""The scheduler's rules, with real threads that run and wait as they are told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from pointsman.classify.cost_model import CostCurve
from pointsman.classify.job_queue import Job
from pointsman.classify.scheduler import Batcher, Threads
from pointsman.errors import ClassifierError, Overloaded
from support.process import PATIENCE_SECONDS

FOREVER = 1e9


def curve(workers: int = 1, seconds_per_token: float = 1e-9, wide: float = 1.0) -> CostCurve:
    """A straight one; `wide` is the share of a run's time that it takes on all threads."""
    tokens = (1, 1000)
    seconds = tuple(n * seconds_per_token for n in tokens)
    return CostCurve(workers, tokens, seconds, seconds, tuple(value * wide for value in seconds))


class Work:
    """Says when a run starts, and ends it only when it is let; `broken` runs raise."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.wide: list[bool] = []
        self.threads: list[str] = []
        self.limits: list[int] = []
        self.broken: set[str] = set()
        self._started = threading.Semaphore(0)
        self._let = threading.Semaphore(0)

    def __call__(self, texts: list[str], wide: bool, limit: int) -> list[str]:
        self.batches.append(texts)
        self.wide.append(wide)
        self.limits.append(limit)
        self.threads.append(threading.current_thread().name.partition("_")[0])
        self._started.release()
        assert self._let.acquire(timeout=PATIENCE_SECONDS)
        if self.broken.intersection(texts):
            raise ValueError("broken")
        return [text.upper() for text in texts]

    async def started(self, runs: int = 1) -> None:
        for _ in range(runs):
            assert await asyncio.to_thread(self._started.acquire, timeout=PATIENCE_SECONDS)

    def let(self, runs: int = 100) -> None:
        self._let.release(runs)


@contextmanager
def batching(
    work: Work, *, workers: int = 1, batch_tokens: int = 100, executor: Executor | None = None, **costs: Any
) -> Iterator[Batcher[str, str]]:
    short, long = ThreadPoolExecutor(workers, "short"), ThreadPoolExecutor(workers, "long")
    try:
        threads = Threads(executor or short, executor or long)
        yield Batcher(work, threads, curve(workers, **costs), batch_tokens=batch_tokens)
    finally:
        work.let()
        short.shutdown()
        long.shutdown()


class Clock:
    """By which the scheduler judges: it stands still but where a test moves it."""

    now = 1000.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    return made


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def single(work: Work) -> AsyncIterator[Batcher[str, str]]:
    """One worker."""
    with batching(work) as batcher:
        yield batcher


def submit(batcher: Batcher[str, str], text: str, tokens: int = 1, *, deadline: float = FOREVER) -> Job[str, str]:
    """Queue a text that somebody waits for."""
    job = batcher.submit(text, tokens, deadline, lambda _: None)
    job.waiters = 1
    return job


async def result(job: Job[str, str]) -> str | ClassifierError:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await asyncio.shield(job.result)


# --- rule 1: no timer, batches grow out of load ----------------------------------------------------------------


async def test_a_text_that_comes_while_a_worker_is_idle_starts_at_once(work: Work, single: Batcher[str, str]) -> None:
    job = submit(single, "a")
    await work.started()
    assert (work.batches, single.queued, job.result.done()) == ([["a"]], 0, False)
    work.let()
    assert await result(job) == "A"


async def test_what_comes_meanwhile_is_taken_together_by_the_next_free_worker(
    work: Work, single: Batcher[str, str]
) -> None:
    first = submit(single, "a")
    await work.started()
    rest = [submit(single, text) for text in "bcd"]
    await asyncio.sleep(0)
    assert (work.batches, single.queued) == ([["a"]], 3)
    work.let()
    assert [await result(job) for job in (first, *rest)] == ["A", "B", "C", "D"]
    assert work.batches == [["a"], ["b", "c", "d"]]


async def test_another_idle_worker_takes_a_text_while_the_first_one_runs(work: Work) -> None:
    with batching(work, workers=2) as batcher:
        jobs = [submit(batcher, "a")]
        await work.started()
        jobs.append(submit(batcher, "b"))
        await work.started()
        work.let()
        assert [await result(job) for job in jobs] == ["A", "B"]
    assert work.batches == [["a"], ["b"]]


# --- rule 2: first come, first served, up to batch_tokens, split over the idle workers -------------------------


@pytest.mark.parametrize(
    ("tokens", "batches"),
    [
        pytest.param({"b": 4, "c": 4, "d": 4}, [["b", "c"], ["d"]], id="up to batch_tokens"),
        pytest.param({"b": 5, "c": 5, "d": 1}, [["b", "c"], ["d"]], id="exactly batch_tokens"),
        pytest.param({"b": 4, "c": 9, "d": 1}, [["b"], ["c", "d"]], id="a small one does not overtake"),
        pytest.param({"b": 50, "c": 1, "d": 1}, [["b"], ["c", "d"]], id="one above batch_tokens runs alone"),
        pytest.param({"b": 1, "c": 50, "d": 1}, [["b"], ["c"], ["d"]], id="and is not overtaken"),
    ],
)
async def test_a_batch_is_bounded_by_tokens_in_the_order_of_arrival(
    work: Work, tokens: dict[str, int], batches: list[list[str]]
) -> None:
    with batching(work, batch_tokens=10) as batcher:
        jobs = [submit(batcher, "a")]
        await work.started()
        jobs += [submit(batcher, text, count) for text, count in tokens.items()]
        work.let()
        for job in jobs:
            await result(job)
    assert work.batches[1:] == batches


@pytest.mark.parametrize(
    ("tokens", "batches"),
    [
        ({"a": 1, "b": 1, "c": 1, "d": 1}, [["a", "b"], ["c", "d"]]),
        ({"a": 1, "b": 1, "c": 1}, [["a"], ["b", "c"]]),
        ({"a": 30, "b": 1, "c": 1}, [["a"], ["b", "c"]]),
    ],
)
async def test_what_waits_is_split_over_the_idle_workers(
    work: Work, tokens: dict[str, int], batches: list[list[str]]
) -> None:
    with batching(work, workers=2) as batcher:
        jobs = [submit(batcher, text, count) for text, count in tokens.items()]
        await work.started(2)
        assert sorted(work.batches) == batches
        work.let()
        for job in jobs:
            assert await result(job) == job.text.upper()


# --- rule 3: a text of 50 ms or more is long, and is in no short one's way --------------------------------------


async def test_what_takes_50_ms_alone_runs_on_a_thread_of_its_own_kind(work: Work) -> None:
    with batching(work, workers=2, batch_tokens=10, seconds_per_token=0.05 / 50) as batcher:
        work.let()
        for text, tokens in (("nearly", 49), ("long", 51), ("short", 1)):
            await result(submit(batcher, text, tokens))
    assert work.threads == ["short", "long", "short"]


async def test_what_fits_into_a_batch_is_short_however_slow_the_host_is(work: Work) -> None:
    with batching(work, batch_tokens=10, seconds_per_token=1.0) as batcher:
        work.let()
        await result(submit(batcher, "ten", 10))
    assert work.threads == ["short"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_short_text_starts_at_once_beside_long_ones_on_all_workers(work: Work, workers: int) -> None:
    with batching(work, workers=workers, batch_tokens=10, seconds_per_token=0.01) as batcher:
        jobs = [submit(batcher, f"long {number}", 50) for number in range(workers)]
        await work.started(workers)
        jobs.append(submit(batcher, "short", 1))
        await work.started()
        assert work.batches[-1] == ["short"]
        work.let()
        for job in jobs:
            await result(job)


async def test_long_texts_take_every_worker_while_no_short_one_waits_and_no_more(work: Work) -> None:
    with batching(work, workers=2, batch_tokens=10, seconds_per_token=0.01) as batcher:
        jobs = [submit(batcher, text, 50) for text in ("one", "two", "three")]
        await work.started(2)
        assert (sorted(work.batches), batcher.queued) == ([["one"], ["two"]], 1)
        work.let()
        for job in jobs:
            await result(job)


@pytest.mark.parametrize("workers", [1, 2])
async def test_one_long_text_runs_though_short_ones_hold_all_workers(work: Work, workers: int) -> None:
    """Else short ones that go on coming would starve it."""
    with batching(work, workers=workers, batch_tokens=10, seconds_per_token=0.01) as batcher:
        jobs = [submit(batcher, f"short {number}", 10) for number in range(workers)]
        await work.started(workers)
        jobs += [submit(batcher, text, 50) for text in ("long", "longer")]
        await work.started()
        assert (work.batches[-1], batcher.queued) == (["long"], 1)
        work.let()
        for job in jobs:
            await result(job)


async def test_long_texts_keep_their_order(work: Work) -> None:
    with batching(work, batch_tokens=10, seconds_per_token=0.01) as batcher:
        jobs = [submit(batcher, text, 50) for text in "abc"]
        work.let()
        for job in jobs:
            await result(job)
    assert work.batches == [["a"], ["b"], ["c"]]


# --- rule 4: a long text is cut to what it has time for --------------------------------------------------------


async def test_a_long_text_is_cut_to_what_runs_in_half_of_its_time(work: Work) -> None:
    """Of 250 tokens three binary digits are kept."""
    with batching(work, batch_tokens=10, seconds_per_token=0.001) as batcher:
        work.let()
        await result(submit(batcher, "long", 400, deadline=0.5))
        await result(submit(batcher, "with time", 400, deadline=FOREVER))
    assert work.limits[0] == 224
    assert work.limits[1] >= 400


async def test_what_it_has_waited_and_a_slow_host_count(work: Work, clock: Clock) -> None:
    with batching(work, batch_tokens=10, seconds_per_token=0.001) as batcher:
        jobs = [submit(batcher, text, 100, deadline=0.5) for text in ("one", "two", "three")]
        await work.started()
        clock.now += 0.1
        work.let(1)
        await work.started()
        assert work.limits == [224, 192]  # of 400 ms
        for _ in range(100):
            batcher._long.slowdown.observe(0.1, 0.2)
        work.let(1)
        await work.started()
        assert 96 <= work.limits[2] <= 112  # at about half the speed
        work.let()
        assert [await result(job) for job in jobs] == ["ONE", "TWO", "THREE"]


async def test_a_short_text_is_never_cut(work: Work) -> None:
    with batching(work, batch_tokens=100, seconds_per_token=1.0) as batcher:
        work.let()
        await result(submit(batcher, "short", 100, deadline=0.001))
    assert work.limits[0] >= 100


# --- rule 5: alone on an idle host, and long enough, it runs on all threads ------------------------------------


@pytest.mark.parametrize(
    ("tokens", "wide", "expected"),
    [
        pytest.param(1000, 0.5, True, id="worth it"),
        pytest.param(999, 0.5, False, id="shorter than what was measured to be worth it"),
        pytest.param(1000, 0.95, False, id="hardly faster"),
    ],
)
async def test_a_lone_text_runs_on_all_threads_where_that_pays(
    work: Work, tokens: int, wide: float, expected: bool
) -> None:
    # One token is as fast on one thread: the curve crosses between 1 and 1000.
    made = CostCurve(2, (1, 1000), (1e-6, 1e-2), (1e-6, 1e-2), (1e-6, wide * 1e-2))
    executor = ThreadPoolExecutor(2)
    work.let()
    await result(submit(Batcher(work, Threads(executor, executor), made, batch_tokens=100), "lone", tokens))
    assert work.wide == [expected]
    executor.shutdown()


@pytest.mark.parametrize("first", [pytest.param(500, id="beside a long one"), pytest.param(1, id="a short one")])
async def test_a_text_that_is_not_alone_runs_on_one_thread(work: Work, first: int) -> None:
    with batching(work, workers=2, wide=0.5, seconds_per_token=1.0) as batcher:
        jobs = [submit(batcher, "lone", first)]
        await work.started()
        jobs.append(submit(batcher, "second", 500))
        await work.started()
        work.let()
        for job in jobs:
            await result(job)
        both = [submit(batcher, text, 500) for text in ("one", "two")]
        for job in both:
            await result(job)
    assert work.wide == [True, False, False, False]


STEP_SECONDS, LATE_SECONDS = 2**-8, 2**-5
"""Before and after the 10 ms that one thread would take."""


class Lone:
    """Texts one after another: STEP_SECONDS each on one thread, as told on all."""

    def __init__(self, work: Work, clock: Clock) -> None:
        self._work = work
        self._clock = clock

    async def until_wide(self, batcher: Batcher[str, str], seconds: float) -> float:
        """When a text next had all threads, which then took `seconds`: how long after the last one."""
        start = self._clock.now
        while True:
            job = submit(batcher, "lone", 1000)
            await self._work.started()
            wide, began = self._work.wide[-1], self._clock.now
            self._clock.now += seconds if wide else STEP_SECONDS
            self._work.let(1)
            await result(job)
            if wide:
                return began - start


@pytest.fixture
def lone(work: Work, clock: Clock) -> Lone:
    return Lone(work, clock)


async def test_runs_stay_on_one_thread_for_as_long_as_one_on_all_took_too_long(work: Work, lone: Lone) -> None:
    """Threads that wait for each other are the slower the less of the cores they get."""
    with batching(work, workers=2, wide=0.5, seconds_per_token=1e-5) as batcher:
        waits = [
            await lone.until_wide(batcher, seconds)
            for seconds in (STEP_SECONDS, LATE_SECONDS, STEP_SECONDS, STEP_SECONDS)
        ]
    assert waits == [0.0, 0.0, LATE_SECONDS, 0.0]


async def test_where_others_keep_the_cores_it_is_twice_as_long_each_time_up_to_a_second(work: Work, lone: Lone) -> None:
    with batching(work, workers=2, wide=0.5, seconds_per_token=1e-5) as batcher:
        waits = [await lone.until_wide(batcher, LATE_SECONDS) for _ in range(9)]
    assert waits == [0.0, *(min(LATE_SECONDS * 2**turn, 1.0) for turn in range(8))]


async def test_each_run_on_all_threads_that_is_in_time_halves_it(work: Work, lone: Lone) -> None:
    with batching(work, workers=2, wide=0.5, seconds_per_token=1e-5) as batcher:
        for _ in range(6):
            await lone.until_wide(batcher, LATE_SECONDS)
        for _ in range(3):
            await lone.until_wide(batcher, STEP_SECONDS)
        await lone.until_wide(batcher, LATE_SECONDS)
        assert await lone.until_wide(batcher, STEP_SECONDS) == 8 * LATE_SECONDS  # 32, 16, 8, 4, and doubled


# --- rule 6: a text whose waiters all left is dropped before it runs -------------------------------------------


async def test_a_text_that_nobody_waits_for_is_dropped(work: Work, single: Batcher[str, str]) -> None:
    submit(single, "a")
    await work.started()
    left, stayed = submit(single, "left"), submit(single, "stayed")
    left.waiters = 0
    work.let()
    assert await result(stayed) == "STAYED"
    assert isinstance(await result(left), ClassifierError)
    assert work.batches == [["a"], ["stayed"]]


async def test_a_dropped_text_takes_no_room_from_the_others(work: Work) -> None:
    with batching(work, batch_tokens=10) as batcher:
        submit(batcher, "a")
        await work.started()
        jobs = [submit(batcher, text, 5) for text in ("b", "left", "c")]
        jobs[1].waiters = 0
        work.let()
        for job in jobs:
            await result(job)
    assert work.batches == [["a"], ["b", "c"]]


async def test_a_job_is_settled_in_the_moment_it_is_over(work: Work, single: Batcher[str, str]) -> None:
    seen: list[tuple[str | ClassifierError, bool]] = []
    job = single.submit("a", 1, FOREVER, lambda value: seen.append((value, job.result.done())))
    job.waiters = 1
    work.let()
    await result(job)
    assert seen == [("A", False)]


# --- rule 7: a failed run fails every text in it, and nothing is ever left waiting ------------------------------


async def test_a_failed_run_fails_all_of_its_batch_and_the_next_one_works(
    work: Work, single: Batcher[str, str]
) -> None:
    work.broken = {"c"}
    first = submit(single, "a")
    await work.started()
    failing = [submit(single, text) for text in "bcd"]
    work.let()
    assert await result(first) == "A"
    for job in failing:
        error = await result(job)
        assert isinstance(error, ClassifierError)
        assert "broken" in str(error)
    assert single.healthy
    assert await result(submit(single, "e")) == "E"


async def test_a_run_that_hangs_makes_it_unhealthy_until_it_ends(
    work: Work, single: Batcher[str, str], clock: Clock
) -> None:
    """That is ten seconds after the worst that could be expected of it, which here is nothing."""
    job = submit(single, "a")
    await work.started()
    clock.now += 9.9
    assert single.healthy
    clock.now += 0.2
    assert not single.healthy
    work.let()
    assert await result(job) == "A"
    assert single.healthy


async def test_so_does_the_run_of_a_long_text(work: Work, clock: Clock) -> None:
    with batching(work, batch_tokens=10, seconds_per_token=0.001) as batcher:
        job = submit(batcher, "long", 100)
        await work.started()
        clock.now += 9.9
        assert batcher.healthy
        clock.now += 10
        assert not batcher.healthy
        work.let()
        assert await result(job) == "LONG"


async def test_an_executor_that_was_shut_down_makes_it_unhealthy_and_nobody_hangs(work: Work) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    with batching(work, workers=2, executor=executor) as batcher:
        jobs = [submit(batcher, text) for text in "abc"]
        assert batcher.healthy
        for job in jobs:
            assert isinstance(await result(job), ClassifierError)
        assert not batcher.healthy
        with pytest.raises(ClassifierError):
            submit(batcher, "d")
    assert faults == []


async def test_runs_that_the_executor_gave_up_fail_and_what_waits_behind_them_too(work: Work) -> None:
    executor = ThreadPoolExecutor(1)
    with batching(work, workers=2, executor=executor) as batcher:
        running = submit(batcher, "a")
        await work.started()
        given_up = submit(batcher, "b")
        await asyncio.sleep(0)
        behind = submit(batcher, "c")
        await asyncio.sleep(0)
        executor.shutdown(wait=False, cancel_futures=True)
        assert isinstance(await result(given_up), ClassifierError)
        assert isinstance(await result(behind), ClassifierError)
        assert not batcher.healthy
        work.let()
        assert await result(running) == "A"


# --- rule 8: overload ------------------------------------------------------------------------------------------


async def test_a_text_is_refused_when_it_would_wait_too_long_for_its_own_run(work: Work) -> None:
    with batching(work, workers=2, seconds_per_token=10.0) as batcher:
        jobs = [submit(batcher, "a", 6), submit(batcher, "b", 6)]
        await work.started(2)
        wait, run = batcher.estimated_wait(4), 40
        assert wait == pytest.approx(60)
        with pytest.raises(Overloaded):
            submit(batcher, "c", 4, deadline=run + 2 * wait - 0.1)
        assert (batcher.queued, batcher.counts.shed) == (0, 1)
        jobs.append(submit(batcher, "c", 4, deadline=run + 2 * wait + 0.1))
        work.let()
        assert [await result(job) for job in jobs] == ["A", "B", "C"]


async def test_a_long_text_is_taken_while_all_workers_run_if_they_end_soon(work: Work) -> None:
    """Its own run needs nearly all of the deadline, and is no reason to refuse it."""
    with batching(work, batch_tokens=10, seconds_per_token=1.0) as batcher:
        jobs = [submit(batcher, "a", 4)]
        await work.started()
        jobs.append(submit(batcher, "long", 100, deadline=100 + 10))
        work.let()
        assert [await result(job) for job in jobs] == ["A", "LONG"]


async def test_what_runs_counts_only_with_what_is_left_of_it(work: Work, clock: Clock) -> None:
    with batching(work, seconds_per_token=0.001) as batcher:
        job = submit(batcher, "a", 100)
        await work.started()
        waits = []
        for _ in range(3):
            waits.append(batcher.estimated_wait(1))
            clock.now += 0.07
        assert waits == pytest.approx([0.1, 0.03, 0.0])
        work.let()
        await result(job)


async def test_short_texts_wait_for_their_own_kind_alone_and_long_ones_for_all(work: Work) -> None:
    with batching(work, workers=2, batch_tokens=10, seconds_per_token=1.0) as batcher:
        jobs = [submit(batcher, "long", 100), submit(batcher, "short", 4)]
        await work.started(2)
        jobs.append(submit(batcher, "longer", 100))
        assert batcher.estimated_wait(6) == pytest.approx(4 / 2)
        assert batcher.estimated_wait(50) == pytest.approx((4 + 100 + 100) / 2)
        work.let()
        for job in jobs:
            await result(job)


async def test_what_the_other_idle_worker_will_take_does_not_wait(work: Work) -> None:
    """Two long texts in one turn of the loop, of which neither has started when the second one is admitted."""
    with batching(work, workers=2, batch_tokens=10, seconds_per_token=1.0) as batcher:
        jobs = [submit(batcher, text, 100, deadline=101) for text in ("one", "two")]
        with pytest.raises(Overloaded):  # behind 200 s of work on two workers
            submit(batcher, "three", 100, deadline=101)
        work.let()
        assert [await result(job) for job in jobs] == ["ONE", "TWO"]


async def test_an_idle_worker_refuses_nobody_but_those_behind_the_first(work: Work) -> None:
    with batching(work, seconds_per_token=1.0) as batcher:
        job = submit(batcher, "a", 100, deadline=0.001)
        with pytest.raises(Overloaded):  # before the first one has even started
            submit(batcher, "b", 1, deadline=0.001)
        work.let()
        assert await result(job) == "A"


async def test_what_is_over_counts_no_more(work: Work) -> None:
    work.broken = {"b"}
    with batching(work, seconds_per_token=1.0, batch_tokens=1) as batcher:
        jobs = [submit(batcher, text, 5) for text in "abc"]
        await work.started()
        jobs[2].waiters = 0
        work.let()
        for job in jobs:
            await result(job)
        assert batcher.estimated_wait(1) == 0
        assert batcher.counts.dropped == 1


async def test_the_estimate_follows_what_runs_take(work: Work) -> None:
    with batching(work, seconds_per_token=1.0) as batcher:
        work.let(1)
        await result(submit(batcher, "a", 100))
        job = submit(batcher, "b", 100)
        await work.started(2)
        assert batcher.estimated_wait(1) < 50
        work.let()
        assert await result(job) == "B"


async def test_runs_and_what_is_in_them_are_counted(work: Work, single: Batcher[str, str]) -> None:
    work.let()
    for job in [submit(single, text, 5) for text in "abc"]:
        await result(job)
    counts = single.counts
    assert (counts.runs, counts.texts, counts.tokens, counts.shed, counts.dropped) == (1, 3, 15, 0, 0)


# --- the estimate of a wait ---------------------------------------------------------------------------------------


async def test_a_waiting_text_counts_with_its_share_of_a_full_batch(work: Work) -> None:
    """It will run in one: here of 100 tokens in 10 ms."""
    with batching(work, batch_tokens=100, seconds_per_token=1e-4) as batcher:
        submit(batcher, "running", 1)
        await work.started()
        waiting = [submit(batcher, "short", 10), submit(batcher, "shorter", 5)]
        assert [job.seconds for job in waiting] == pytest.approx([1e-3, 5e-4])
        assert batcher.estimated_wait(1) == pytest.approx(1.6e-3)


async def test_a_text_longer_than_a_batch_counts_with_the_run_of_its_own(work: Work) -> None:
    """Which leaves it less of the deadline to wait: here 60 ms, of which it may wait half."""
    with batching(work, batch_tokens=100, seconds_per_token=2e-4) as batcher:
        submit(batcher, "a", 1)
        await work.started()
        for text, tokens in (("b", 100), ("c", 80)):
            submit(batcher, text, tokens)
        with pytest.raises(Overloaded):
            submit(batcher, "longer", 200, deadline=0.1)
        submit(batcher, "short", 100, deadline=0.1)
