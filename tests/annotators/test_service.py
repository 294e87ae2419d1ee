"""Requests to answers with the real engine: batches, corrections, tiles, changes of the model, downloads."""

from __future__ import annotations

import functools
import http.server
import io
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import xxhash

from microsam_nb.annotators import answers as asking
from microsam_nb.annotators import service as module
from microsam_nb.annotators.service import EngineService
from microsam_nb.core import BoxPrompt, Candidate, Image, Mask, MaskPrompt, ModelError, Point
from microsam_nb.engine import ModelSpec, load_model, registry
from microsam_nb.engine.registry import RegisteredModel, Source
from microsam_nb.session import (
    AddPoint,
    Embed,
    Embedded,
    Glimpsed,
    LoadModel,
    ModelLoaded,
    Predict,
    Predicted,
    Runner,
    Session,
    UseModel,
    Working,
)


@pytest.fixture
def asked(monkeypatch):
    """The objects and previous masks of all that the engine is asked, one at a time or many."""
    calls = []
    real, stepwise, correct = asking.predict_many, module.predict_stepwise, asking.correct_many

    def predict_many(model, source, objects, **more):
        calls.append((list(objects), more.get("previous")))
        return real(model, source, objects, **more)

    def predict_stepwise(model, source, prompts, **more):
        calls.append(([tuple(prompts)], [more.get("previous")]))
        return stepwise(model, source, prompts, **more)

    def correct_many(model, store, objects, masks, **more):
        if objects:
            calls.append((list(objects), list(masks)))
        return correct(model, store, objects, masks, **more)

    monkeypatch.setattr(asking, "correct_many", correct_many)
    for one in (asking, module):
        monkeypatch.setattr(one, "predict_many", predict_many)
    monkeypatch.setattr(module, "predict_stepwise", predict_stepwise)
    return calls


@pytest.fixture
def other(random_nano):
    """A model that encodes whole planes and tiles, as segment-anything's do."""
    return replace(random_nano, spec=ModelSpec("other", "vit_t", "xxh128:0123456789abcdef"))


@pytest.fixture
def large() -> Image:
    pixels = np.random.default_rng(2).integers(0, 255, (700, 900)).astype(np.uint8)
    return Image(pixels, name="large")


def answers(service, request):
    return list(service(request))


def opened(*given, **more) -> EngineService:
    """A service that has said which model it has."""
    service = EngineService(*given, **more)
    assert [type(one) for one in service(Embed(0))] == [ModelLoaded]
    return service


def test_only_new_objects_of_a_batch_are_computed(drawn_image, random_nano, asked):
    service = EngineService(drawn_image, random_nano)
    one, two = (Point(0, 24.0, 26.0),), (BoxPrompt(0, 20.0, 60.0, 40.0, 80.0),)
    *_, first = answers(service, Predict(1, (one,)))
    *_, both = answers(service, Predict(2, (one, two)))
    assert [objects for objects, _ in asked] == [[one], [two]]
    assert both.found[0] is first.found[0]
    assert len(both.found) == 2
    answers(service, Predict(3, (two,)))
    assert len(asked) == 2


def test_a_correction_is_read_with_the_answer_before(drawn_image, random_nano, asked):
    service = EngineService(drawn_image, random_nano)
    one = (Point(0, 24.0, 26.0),)
    *_, first = answers(service, Predict(1, (one,)))
    more = (*one, Point(0, 30.0, 26.0, False), Point(0, 20.0, 26.0))
    answers(service, Predict(2, (more,)))
    assert asked[1][1] == [first.found[0].mask]
    answers(service, Predict(3, ((Point(0, 70.0, 40.0),),)))
    assert asked[2][1] == [None]


def test_an_object_that_is_taken_up_is_what_clicks_correct(drawn_image, random_nano, other, asked):
    mask = Mask.crop(np.ones((8, 8), bool), (0, 20, 22))
    prompts = (MaskPrompt(mask), Point(0, 30.0, 26.0))
    answers(EngineService(drawn_image, random_nano), Predict(1, (prompts,)))
    assert asked[-1] == ([prompts[1:]], [mask]), "nano has a way of its own"
    answers(EngineService(drawn_image, other), Predict(1, (prompts,)))
    assert asked[-1][0] == [prompts], "segment-anything's models read a mask beside clicks"


def test_what_is_taken_up_gets_better(drawn):
    """A disc of which half was committed by mistake, and one of which too much was."""
    image = Image(drawn.pixels, name="discs")
    service = EngineService(image, "nano", "cpu")
    whole = drawn.labels == 3
    half = whole & (np.arange(96) < 40)
    more = whole | (np.hypot(*(np.indices((96, 96)) - np.array([[[70]], [[62]]]))) < 8)
    for start, click in ((half, Point(0, 70.0, 47.0)), (more, Point(0, 70.0, 63.0, False))):
        *_, found = answers(service, Predict(1, ((MaskPrompt(Mask.crop(start)), click),)))
        mask = found.found[0].mask.dense(image.shape)[0]
        before = (start & whole).sum() / (start | whole).sum()
        assert (mask & whole).sum() / (mask | whole).sum() > max(0.85, before)


def test_a_plane_in_tiles_begins_where_the_user_looks(large, other, monkeypatch):
    service = opened(large, other)
    filled = []
    real = module.EmbeddingStore.fill_stepwise

    def fill(self, items):
        filled.append(items[0])
        return real(self, items)

    monkeypatch.setattr(module.EmbeddingStore, "fill_stepwise", fill)
    work = service(Embed(0, 690.0, 890.0))
    steps = [next(work) for _ in range(3)]
    assert all(isinstance(step, Working) for step in steps)
    tiling = service._store.tiling
    assert tiling is not None
    assert filled[0].tile == tiling.tile_of((700, 900), 690, 890) == service._store.tiles - 1
    assert not service.follows(Embed(0, 690.0, 890.0))
    assert service.follows(Embed(0, 5.0, 5.0))
    *rest, last = work
    assert isinstance(last, Embedded)
    progress = [step.work for step in (*steps, *rest) if step.work.total]
    assert [one.done for one in progress] == list(range(1, service._store.tiles + 1))
    assert {one.total for one in progress} == {service._store.tiles}
    assert progress[-1].left == 0
    assert not service.follows(Embed(0, 5.0, 5.0))
    assert answers(service, Embed(0, 5.0, 5.0))[-1] == Working(None), "what is known is not said again"


def test_tiles_far_away_wait_until_somebody_looks(large, other, monkeypatch):
    monkeypatch.setattr(module, "_AHEAD", 2)
    service = opened(large, other)
    *_, before, last = answers(service, Embed(0, 5.0, 5.0))
    assert (before.work.done, before.work.total) == (2, 2)
    assert isinstance(last, Embedded)
    assert service.follows(Embed(0, 690.0, 890.0))


def test_embeddings_that_take_long_are_kept_in_the_project(large, other, tmp_path):
    answers(opened(large, other, folder=tmp_path), Embed(0))
    assert [p.name for p in tmp_path.iterdir()] == ["embeddings-vit_t-89abcdef.zarr"]
    again = opened(large, other, folder=tmp_path)
    assert [type(one) for one in answers(again, Embed(0))] == [Working, Embedded]


def test_a_folder_that_cannot_hold_embeddings_does_not_matter(drawn_image, other, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    service = opened(drawn_image, other, folder=blocked)
    assert isinstance(answers(service, Embed(0))[-1], Embedded)


def test_another_model_answers_after_it_is_loaded(drawn_image, random_nano, asked):
    service = EngineService(drawn_image, random_nano)
    one = (Point(0, 24.0, 26.0),)
    answers(service, Predict(1, (one,)))
    done = answers(service, LoadModel("nano"))
    assert isinstance(done[-1], ModelLoaded)
    assert done[-1].name == "nano"
    answers(service, Predict(2, (one,)))
    assert len(asked) == 2, "answers of the old model are forgotten"


def test_a_model_that_is_not_there_leaves_the_old_one(drawn_image, random_nano):
    service = EngineService(drawn_image, random_nano)
    with pytest.raises(ModelError, match="nano"):
        answers(service, LoadModel("nanno"))
    assert service.model is random_nano


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path):
    """A folder, and the address under which a server gives out its files."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def offer(served, random_nano, monkeypatch, name="nano_there"):
    """Register a model whose weights the server has."""
    folder, url = served
    buffer = io.BytesIO()
    torch.save({f"sam.{k}": v for k, v in random_nano.sam.state_dict().items()}, buffer)
    distances = io.BytesIO()
    torch.save(random_nano.distances.state_dict(), distances)
    sources = []
    for part, content in (("weights", buffer.getvalue()), ("decoder", distances.getvalue())):
        (folder / part).write_bytes(content)
        sources.append(Source(f"{url}/{part}", xxhash.xxh128(content).hexdigest()))
    monkeypatch.setitem(registry._BY_NAME, name, RegisteredModel(name, "nano", "a test", *sources, "v1"))


def test_a_model_is_downloaded_with_progress(drawn_image, random_nano, served, tmp_path, monkeypatch):
    monkeypatch.setenv("MICROSAM_CACHEDIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    offer(served, random_nano, monkeypatch)
    session = Session(drawn_image.shape)
    told = []
    session.changed.connect(lambda change: change.work and session.work and told.append(session.work))
    runner = Runner(session, EngineService(drawn_image, random_nano))
    try:
        runner.wait()
        session.handle(UseModel("nano_there"))
        runner.wait()
        assert session.model == "nano_there (v1)"
        assert session.work is None
        bytes_ = [one for one in told if one.unit == "MB"]
        assert bytes_
        weights = [one for one in bytes_ if one.what == "Downloading nano_there"]
        assert weights[-1].done == weights[-1].total > 0
        session.handle(AddPoint(24, 26))
        runner.wait()
        assert session.state.answered
    finally:
        runner.close()


def test_a_download_that_fails_is_said_and_the_old_model_answers(drawn_image, random_nano, tmp_path, monkeypatch):
    monkeypatch.setenv("MICROSAM_CACHEDIR", str(tmp_path / "cache"))
    gone = Source("http://127.0.0.1:9/weights", "0" * 32)
    monkeypatch.setitem(registry._BY_NAME, "gone", RegisteredModel("gone", "nano", "a test", gone, None, "v1"))
    session = Session(drawn_image.shape)
    runner = Runner(session, EngineService(drawn_image, random_nano))
    try:
        runner.wait()
        session.handle(UseModel("gone"))
        runner.wait()
        assert session.notice.error
        assert "Check the network" in session.notice.text
        assert session.work is None
        session.handle(AddPoint(24, 26))
        runner.wait()
        assert session.state.answered
    finally:
        runner.close()


def test_a_click_knows_how_large_objects_are_before_there_are_any(drawn, asked):
    service = EngineService(Image(drawn.pixels, name="discs"), "nano", "cpu")
    areas = np.bincount(drawn.labels.ravel())[1:]
    for _ in range(2):
        answers(service, Embed(0))
    size = service._sizes[0]
    widths = 2 * np.sqrt(areas / np.pi)
    assert widths.min() / 1.5 < size < widths.max() * 1.5


def test_what_is_plausible_is_shown_before_the_answer(drawn, monkeypatch):
    service = EngineService(Image(drawn.pixels, name="discs"), "nano", "cpu")
    one, two = (Candidate(Mask((0, 1, 1), np.ones((1, n, n), bool)), 0.5, "points") for n in (2, 4))
    monkeypatch.setattr(module, "predict_stepwise", lambda *_, **__: iter([(one, False), (two, True)]))
    prompts = (Point(0, 24.0, 26.0),)
    assert answers(service, Predict(5, (prompts,)))[-2:] == [Glimpsed(5, (one,)), Predicted(5, (two,), "nano")]
    assert answers(service, Predict(6, (prompts,))) == [Predicted(6, (two,), "nano")], (
        "what is known is not looked for again"
    )


def test_a_correction_of_what_is_only_glimpsed_knows_it(drawn, asked, monkeypatch):
    """The second click comes before the answer to the first."""
    service = EngineService(Image(drawn.pixels, name="discs"), "nano", "cpu")
    early = Candidate(Mask((0, 20, 20), np.ones((1, 6, 6), bool)), 0.5, "points")
    plain = module.predict_stepwise
    monkeypatch.setattr(module, "predict_stepwise", lambda *_, **__: iter([(early, False), (early, True)]))
    one = (Point(0, 24.0, 26.0),)
    work = service(Predict(1, (one,)))
    while not isinstance(next(work), Glimpsed):
        pass
    work.close()
    monkeypatch.setattr(module, "predict_stepwise", plain)
    answers(service, Predict(2, ((*one, Point(0, 30.0, 26.0, False)),)))
    assert asked[-1][1] == [early.mask]


def test_a_measurement_that_was_left_is_made_the_next_time(drawn):
    service = opened(Image(drawn.pixels, name="discs"), load_model("nano", "cpu"))
    work = service(Embed(0))
    while not isinstance(next(work), Embedded):
        pass
    work.close()
    assert service._sizes == {}
    answers(service, Embed(0))
    assert service._sizes[0] > 5


def test_a_measurement_that_fails_is_logged_and_disturbs_nobody(drawn, monkeypatch, caplog):
    service = opened(Image(drawn.pixels, name="discs"), load_model("nano", "cpu"))
    monkeypatch.setattr(asking, "measure_diameter", lambda *_: (1 / n for n in [0]))
    assert isinstance(answers(service, Embed(0))[-1], Embedded)
    assert "could not be measured" in caplog.text
    assert isinstance(answers(service, Predict(1, ((Point(0, 24.0, 26.0),),)))[-1], Predicted)
