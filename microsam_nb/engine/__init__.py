"""The verbs: load a model, encode an image, answer prompts, train. Importable without any widget library."""

from .embedding import Embedding
from .encode import embed, encode
from .load import load_model
from .models import Model, ModelSpec
from .plan import Plan, choose_tiling, plan
from .predict import predict, predict_many

__all__ = [
    "Embedding",
    "Model",
    "ModelSpec",
    "Plan",
    "choose_tiling",
    "embed",
    "encode",
    "load_model",
    "plan",
    "predict",
    "predict_many",
]
