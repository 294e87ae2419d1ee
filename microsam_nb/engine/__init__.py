"""The verbs: load a model, encode an image, answer prompts, train. Importable without any widget library."""

from .embedding import Embedding
from .encode import embed, encode, encode_many
from .load import load_model
from .models import Model, ModelSpec
from .predict import predict, predict_many

__all__ = ["Embedding", "Model", "ModelSpec", "embed", "encode", "encode_many", "load_model", "predict", "predict_many"]
