"""Changes take turns; an append waits only for a change that concerns its table."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from libs.local.engine.turns import Turns, of_request

PATIENCE = 20
MOMENT = 0.2
JOURNAL = "p.d.journal"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


class Held:
    """A turn that another thread has until `end`."""

    def __init__(self, threads: ThreadPoolExecutor, turns: Turns, table: str, kind: str) -> None:
        self._taken, self._end = threading.Event(), threading.Event()
        turn = turns.append(table) if kind == "append" else turns.change({table}.__contains__)

        def hold() -> None:
            with turn:
                self._taken.set()
                assert self._end.wait(PATIENCE)

        self._held = threads.submit(hold)
        assert self._taken.wait(PATIENCE)

    def end(self) -> None:
        self._end.set()
        self._held.result(PATIENCE)


def tried(threads: ThreadPoolExecutor, turn: Callable[[], object]) -> Future[object]:
    return threads.submit(turn)


def append(turns: Turns, table: str) -> Callable[[], object]:
    def once() -> None:
        with turns.append(table):
            pass

    return once


def change(turns: Turns, table: str) -> Callable[[], object]:
    def once() -> None:
        with turns.change({table}.__contains__):
            pass

    return once


def every(turns: Turns) -> Callable[[], object]:
    def once() -> None:
        with turns:
            pass

    return once


@pytest.mark.parametrize(
    ("held", "then", "waits"),
    [
        (("change", "p.d.t"), lambda turns: append(turns, JOURNAL), False),
        (("change", "p.d.t"), lambda turns: append(turns, "p.d.t"), True),
        (("change", "p.d.t"), lambda turns: change(turns, JOURNAL), True),
        (("append", JOURNAL), lambda turns: change(turns, "p.d.t"), False),
        (("append", JOURNAL), lambda turns: change(turns, JOURNAL), True),
        (("append", JOURNAL), lambda turns: append(turns, "p.d.t"), True),
        (("append", JOURNAL), every, True),
        (("change", JOURNAL), every, True),
    ],
)
def test_who_waits_for_whom(
    threads: ThreadPoolExecutor,
    held: tuple[str, str],
    then: Callable[[Turns], Callable[[], object]],
    waits: bool,
) -> None:
    turns = Turns()
    kind, table = held
    first = Held(threads, turns, table, kind)
    try:
        second = tried(threads, then(turns))
        assert bool(wait([second], timeout=MOMENT if waits else PATIENCE).done) is not waits
    finally:
        first.end()
    second.result(PATIENCE)


def test_changes_nest_and_the_outermost_ends_them(threads: ThreadPoolExecutor) -> None:
    turns = Turns()
    with turns.change({"p.d.t"}.__contains__):
        with turns, turns:
            pass
        tried(threads, append(turns, JOURNAL)).result(PATIENCE)
        waiting = tried(threads, append(turns, "p.d.t"))
        assert not wait([waiting], timeout=MOMENT).done
    waiting.result(PATIENCE)


def test_inside_an_append_nothing_waits(threads: ThreadPoolExecutor) -> None:
    """What it writes into the catalog is part of it."""
    turns = Turns()
    first = Held(threads, turns, "p.d.t", "change")
    with turns.append(JOURNAL), turns, turns.change({"p.d.t"}.__contains__):
        pass
    first.end()


def test_a_failure_ends_a_turn(threads: ThreadPoolExecutor) -> None:
    turns = Turns()
    for turn in (turns, turns.change({JOURNAL}.__contains__), turns.append(JOURNAL)):
        with pytest.raises(ZeroDivisionError), turn:
            raise ZeroDivisionError
    tried(threads, append(turns, JOURNAL)).result(PATIENCE)
    tried(threads, every(turns)).result(PATIENCE)


DATASETS = "/bigquery/v2/projects/p/datasets"


@pytest.mark.parametrize(
    ("request_line", "concerned"),
    [
        (f"POST {DATASETS}", []),
        (f"POST {DATASETS}/d/tables", []),
        (f"DELETE {DATASETS}/d/tables/T", ["p.d.t"]),
        (f"DELETE {DATASETS}/d", ["p.d.t", "p.d.tt", "p.e.t", "q.d.t"]),
        (f"PATCH {DATASETS}/d/tables/t", ["p.d.t", "p.d.tt", "p.e.t", "q.d.t"]),
        (f"POST {DATASETS}/d/tables/t/insertAll", ["p.d.t", "p.d.tt", "p.e.t", "q.d.t"]),
        ("POST /bigquery/v2/projects/p/jobs", ["p.d.t", "p.d.tt", "p.e.t", "q.d.t"]),
    ],
)
def test_a_request_concerns_what_it_drops_and_not_what_it_makes(
    request_line: str, concerned: list[str]
) -> None:
    concerns = of_request(*request_line.split())
    assert [t for t in ("p.d.t", "p.d.tt", "p.e.t", "q.d.t") if concerns(t)] == concerned
