import pytest
from fake_encoder import FEATURES, FakeEncoder


@pytest.fixture
def encoder(monkeypatch):
    """The fake encoder, in place of the network."""
    from microsam_nb.engine.store.source import Source

    fake = FakeEncoder()
    monkeypatch.setattr(Source, "encode_stepwise", lambda self, items: fake.steps(self, items))
    monkeypatch.setattr(Source, "features_shape", FEATURES)
    return fake
