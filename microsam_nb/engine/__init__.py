"""The verbs: load a model, encode an image, answer prompts. Importable without any widget library."""

from .embed import Encoded, embed
from .embedding import Embedding
from .encode import encode, encode_many
from .load import load_model
from .models import Model, ModelSpec
from .plan import Plan, choose_tiling, plan
from .predict import predict, predict_logits, predict_many, predict_stepwise
from .prompting import PointsOf, RegionUse
from .registry import MODELS, find_registered
from .store import EmbeddingStore, open_store
from .tiling import Tiling

__all__ = [
    "MODELS",
    "Embedding",
    "EmbeddingStore",
    "Encoded",
    "Model",
    "ModelSpec",
    "Plan",
    "PointsOf",
    "RegionUse",
    "Tiling",
    "choose_tiling",
    "embed",
    "encode",
    "encode_many",
    "find_registered",
    "load_model",
    "open_store",
    "plan",
    "predict",
    "predict_logits",
    "predict_many",
    "predict_stepwise",
]
