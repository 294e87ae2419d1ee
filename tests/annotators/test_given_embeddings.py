"""A store of embeddings that was made elsewhere: in a folder, or handed out by a web server."""

from __future__ import annotations

import functools
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from microsam_nb import annotate_2d
from microsam_nb.annotators.service import EngineService
from microsam_nb.core import Image, Point, StoreError
from microsam_nb.engine import Tiling, embed, open_store
from microsam_nb.engine.models import ModelSpec
from microsam_nb.engine.store.source import Source
from microsam_nb.session import AddPoint, Predict

TILING = Tiling((48, 48), (8, 8))


@pytest.fixture
def tiny_sam(random_nano):
    """A model that encodes whole planes and tiles, as segment-anything's do."""
    return replace(random_nano, spec=ModelSpec("other", "vit_t", "xxh128:0123456789abcdef"))


@pytest.fixture
def image():
    return Image(np.random.default_rng(0).integers(0, 255, (80, 96)).astype(np.uint8))


@pytest.fixture
def stored(tmp_path, image, tiny_sam):
    store = open_store(tmp_path / "cells.zarr", tiny_sam, image, TILING)
    for _ in embed(tiny_sam, image, store):
        pass
    return tmp_path / "cells.zarr"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """The test says what matters."""


@pytest.fixture
def served(tmp_path):
    """The address of the folder of the test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def answer(service, y=40.0, x=50.0):
    return list(service(Predict(1, ((Point(0, y, x),),))))[-1].found


@pytest.mark.parametrize("remote", [False, True])
def test_nothing_is_encoded_again(image, stored, served, tiny_sam, monkeypatch, remote):
    own = answer(EngineService(image, tiny_sam, embeddings=str(stored)))
    monkeypatch.setattr(Source, "encode_stepwise", None)
    place = f"{served}/cells.zarr" if remote else str(stored)
    assert answer(EngineService(image, tiny_sam, embeddings=place)) == own


def test_what_a_web_server_lacks_is_computed_and_remembered(image, stored, served, tiny_sam, tmp_path):
    part = open_store(tmp_path / "part.zarr", tiny_sam, image, TILING)
    part.tile(0, 0)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    store = open_store(f"{served}/part.zarr", tiny_sam, image, TILING)
    assert (store.has(0, 0), store.has(0, 3)) == (True, False)
    assert np.array_equal(store.tile(0, 3).features, open_store(stored).tile(0, 3).features)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_another_model_or_no_store_is_said(image, stored, served, tiny_sam, random_nano):
    with pytest.raises(StoreError, match="Load that model"):
        answer(EngineService(image, random_nano, embeddings=f"{served}/cells.zarr"))
    with pytest.raises(StoreError, match="Check the name"):
        answer(EngineService(image, tiny_sam, embeddings=f"{served}/none.zarr"))
    with pytest.raises(StoreError, match="Check the name"):
        open_store(f"{served}/none.zarr", tiny_sam, image)


def test_the_door_takes_an_address(image, stored, served, tiny_sam, monkeypatch):
    monkeypatch.setattr(Source, "encode_stepwise", None)
    annotator = annotate_2d(image, model=tiny_sam, embeddings=f"{served}/cells.zarr", project=False)
    try:
        annotator.session.handle(AddPoint(40.0, 50.0))
        annotator.wait(60)
        assert annotator.session.state.answered
        assert not annotator.session.notice.text.startswith("The store")
    finally:
        annotator.close()
