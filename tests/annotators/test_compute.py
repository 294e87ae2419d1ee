"""One thread computes for all, urgent work first; torch is loaded by the first request, after the picture."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
import threading

import pytest

from microsam_nb.annotators.compute import ComputeThread


@pytest.fixture
def busy():
    """A compute thread that is at work until ``gate`` is set."""
    thread, gate, begun = ComputeThread(), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(10)

    holder = threading.Thread(target=lambda: thread.call(hold))
    holder.start()
    assert begun.wait(10)
    yield thread, gate
    gate.set()
    holder.join(10)


def test_everything_is_computed_on_one_thread():
    thread = ComputeThread()
    seen = [thread.call(threading.get_ident) for _ in range(3)]
    callers = [threading.Thread(target=lambda: seen.append(thread.call(threading.get_ident))) for _ in range(4)]
    for one in callers:
        one.start()
    for one in callers:
        one.join(10)
    assert len(set(seen)) == 1
    assert seen[0] != threading.get_ident()
    assert thread.call(lambda: thread.call(threading.get_ident)) == seen[0], "it does not wait for itself"


def queue(thread, name, order, urgent=False):
    """Put work in on a thread of its own; return that thread when the work waits."""
    waiting = len(thread._urgent) + len(thread._other)
    one = threading.Thread(target=functools.partial(thread.call, functools.partial(order.append, name), urgent=urgent))
    one.start()
    while len(thread._urgent) + len(thread._other) == waiting:
        pass
    return one


def test_what_is_urgent_comes_first(busy):
    thread, gate = busy
    order: list[str] = []
    callers = [queue(thread, *one) for one in (("tile", order), ("more", order), ("click", order, True))]
    gate.set()
    for one in callers:
        one.join(10)
    assert order == ["click", "tile", "more"]


def test_the_looks_of_a_click_are_not_interrupted():
    thread, order = ComputeThread(), []

    def looks():
        for i in range(3):
            order.append(i)
            yield i

    work = thread.steps(looks(), urgent=True)
    assert next(work) == 0
    caller = queue(thread, "tile", order)
    assert list(work) == [1, 2]
    caller.join(10)
    assert order == [0, 1, 2, "tile"]
    # Also when it is left in the middle, as after an answer.
    order.clear()
    work = thread.steps(looks(), urgent=True)
    next(work)
    caller = queue(thread, "tile", order)
    work.close()
    caller.join(10)
    assert order == [0, "tile"]


def test_an_error_in_the_middle_holds_nobody_up():
    thread = ComputeThread()

    def broken():
        yield 1
        raise ValueError("broken")

    work = thread.steps(broken(), urgent=True)
    assert next(work) == 1
    with pytest.raises(ValueError, match="broken"):
        next(work)
    assert thread.call(lambda: 3) == 3


def test_a_click_comes_between_the_steps_of_long_work():
    thread, order = ComputeThread(), []

    def tiles():
        for i in range(3):
            order.append(i)
            yield i

    work = thread.steps(tiles())
    assert next(work) == 0
    thread.call(lambda: order.append("click"), urgent=True)
    assert list(work) == [1, 2]
    assert order == [0, "click", 1, 2]


def test_steps_without_news_are_taken_together_until_something_urgent_waits(monkeypatch):
    thread, order, callers = ComputeThread(), [], []

    def blocks():
        for i in range(6):
            order.append(i)
            if i == 3:
                callers.append(queue(thread, "click", order, True))
            yield None
        yield "plane"

    monkeypatch.setattr("microsam_nb.annotators.compute._TOGETHER", 60)
    assert list(thread.steps(blocks())) == [None, "plane"], "the caller hears of it once, where the click came"
    callers[0].join(10)
    assert order == [0, 1, 2, 3, "click", 4, 5]


def test_urgent_steps_wait_for_one_block_and_are_not_interrupted_by_the_next(monkeypatch):
    thread, order, callers = ComputeThread(), [], []

    def looks():
        for name in ("glimpse", "answer"):
            order.append(name)
            yield name

    def ask():
        for _ in thread.steps(looks(), urgent=True):
            pass

    def blocks():
        for i in range(4):
            order.append(i)
            if i == 1:
                callers.append(threading.Thread(target=ask))
                callers[0].start()
                while not thread._urgent:
                    pass
            yield None

    monkeypatch.setattr("microsam_nb.annotators.compute._TOGETHER", 60)
    list(thread.steps(blocks()))
    callers[0].join(10)
    assert order == [0, 1, "glimpse", "answer", 2, 3]


def test_without_anything_urgent_long_work_can_be_left_after_a_moment(monkeypatch):
    thread = ComputeThread()
    monkeypatch.setattr("microsam_nb.annotators.compute._TOGETHER", 0)
    assert list(thread.steps(iter([None, None, 1]))) == [None, None, 1]
    monkeypatch.setattr("microsam_nb.annotators.compute._TOGETHER", 60)
    assert list(thread.steps(iter([None, None, 1]))) == [1]


def test_work_that_is_left_is_closed():
    thread, closed = ComputeThread(), []

    def tiles():
        try:
            yield 1
            yield 2
        finally:
            closed.append(threading.get_ident())

    work = thread.steps(tiles())
    next(work)
    work.close()
    assert closed == [thread.call(threading.get_ident)]


def test_an_error_is_raised_where_it_was_asked_for_and_the_thread_lives():
    thread = ComputeThread()
    with pytest.raises(ValueError, match="broken"):
        thread.call(lambda: (_ for _ in ()).throw(ValueError("broken")))
    assert thread.call(lambda: 3) == 3


def test_an_annotator_is_there_before_torch():
    """The picture is painted; the model is loaded when it is asked, or after a moment."""
    code = """
        import sys
        import numpy as np
        from microsam_nb import annotate_2d
        from microsam_nb.session import AddPoint
        annotator = annotate_2d(np.zeros((64, 64), np.uint8), project=False)
        annotator._loop.wait()
        assert "torch" not in sys.modules, "torch was imported before anybody asked for it"
        annotator.session.handle(AddPoint(20, 20))
        annotator.wait()
        assert "torch" in sys.modules
        assert annotator.session.state.answered
        annotator.close()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


def test_at_the_end_the_work_in_hand_is_finished_and_no_more_is_taken():
    thread, begun, go = ComputeThread(), threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert go.wait(10)
        return "done"

    answers = []

    def ask(work):
        try:
            answers.append(thread.call(work))
        except RuntimeError as error:
            answers.append(str(error))

    asking = [threading.Thread(target=ask, args=(slow,))]
    asking[0].start()
    assert begun.wait(10)
    asking.append(threading.Thread(target=ask, args=(lambda: "never",)))
    asking[1].start()
    while not thread._other:
        pass
    ending = threading.Thread(target=thread.close)
    ending.start()
    asking[1].join(10)
    assert answers == ["The interpreter ends."]
    assert ending.is_alive(), "it waits for what is in hand"
    go.set()
    for one in (ending, asking[0]):
        one.join(10)
    assert answers[1:] == ["done"]
    with pytest.raises(RuntimeError, match="nothing more"):
        thread.call(lambda: 1)


def test_a_process_that_ends_in_the_middle_of_steps_ends_well():
    script = (
        "import threading, time, torch\n"
        "from microsam_nb.annotators.compute import compute\n"
        "def steps():\n"
        "    while True:\n"
        "        torch.randn(300, 300) @ torch.randn(300, 300)\n"
        "        yield 1\n"
        "def run():\n"
        "    for _ in compute.steps(steps()):\n"
        "        pass\n"
        "threading.Thread(target=run, daemon=True).start()\n"
        "time.sleep(0.5)\n"
    )
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "terminate" not in done.stderr
