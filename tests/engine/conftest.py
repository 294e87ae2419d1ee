import numpy as np
import pytest
from carrying import FREE, NOTHING, SIZE, disk
from fake_encoder import FEATURES, FakeEncoder

from microsam_nb.core import Candidate, Image
from microsam_nb.engine import Known, open_store, project_many


@pytest.fixture
def encoder(monkeypatch):
    """The fake encoder, in place of the network."""
    from microsam_nb.engine.store.source import Source

    fake = FakeEncoder()
    monkeypatch.setattr(Source, "encode_stepwise", lambda self, items: fake.steps(self, items))
    monkeypatch.setattr(Source, "features_shape", FEATURES)
    return fake


@pytest.fixture
def volume():
    """A ball-like stack: 12 planes, an object of radius 10 in planes 3 to 8, brighter than the rest."""
    pixels = np.full((12, SIZE, SIZE), 20, np.uint8)
    for plane in range(3, 9):
        pixels[disk(plane, 32, 32, 10).box.slices][disk(plane, 32, 32, 10).bitmap] = 120
    return Image(pixels, "zyx")


@pytest.fixture
def carried(monkeypatch, random_nano, volume):
    """Carry with a model that answers by a rule: rule(plane, mask asked with) -> mask or None; and what was asked."""
    store = open_store(None, random_nano, volume)

    def carry(rule, known, settings=FREE, stops=(), **more):
        asked = []

        def predict_many(model, source, objects, *, previous=None, use=None):
            out = []
            for prompts, before in zip(objects, previous, strict=True):
                mask = before if before is not None else prompts[0].mask
                asked.append((mask.start[0], prompts, use))
                found = rule(mask.start[0], mask)
                out.append(Candidate(found if found is not None else NOTHING, 0.9, "x"))
            return out

        monkeypatch.setattr("microsam_nb.engine.walks.asked.predict_many", predict_many)
        known = known if isinstance(known, list) else [Known(known)]
        found = {}
        for some in project_many(random_nano, store, known, settings, stops=stops):
            for one in some:
                found[one.place, one.plane] = one
        return found, asked

    return carry
