"""The verbs: load a model, encode an image, answer prompts, train. Importable without any widget library."""

from .embedding import Embedding
from .encode import embed, encode
from .load import load_model
from .models import Model, ModelSpec
from .predict import predict, predict_many
from .registry import MODELS, find_registered

__all__ = [
    "MODELS",
    "Embedding",
    "Model",
    "ModelSpec",
    "embed",
    "encode",
    "find_registered",
    "load_model",
    "predict",
    "predict_many",
]
