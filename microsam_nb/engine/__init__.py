"""The verbs: load a model, encode an image, answer prompts. Importable without any widget library.

Everything is loaded when it is first used: what only names models need not wait for torch.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .correct import correct_many
    from .embed import Encoded, embed
    from .embedding import Embedding
    from .encode import encode, encode_many
    from .load import load_model
    from .models import Model, ModelSpec
    from .plan import Plan, choose_tiling, plan
    from .predict import predict, predict_logits, predict_many, predict_stepwise
    from .project import Known, project, project_many
    from .prompting import PointsOf, RegionUse
    from .registry import MODELS, find_registered
    from .reprompt import ProjectSettings, Reprompt, project_settings_for
    from .store import EmbeddingStore, open_store
    from .tiling import Tiling

#: The file of every name.
_HOMES = {
    "MODELS": "registry",
    "Embedding": "embedding",
    "EmbeddingStore": "store",
    "Encoded": "embed",
    "Known": "project",
    "Model": "models",
    "ModelSpec": "models",
    "Plan": "plan",
    "PointsOf": "prompting",
    "ProjectSettings": "reprompt",
    "RegionUse": "prompting",
    "Reprompt": "reprompt",
    "Tiling": "tiling",
    "choose_tiling": "plan",
    "correct_many": "correct",
    "embed": "embed",
    "encode": "encode",
    "encode_many": "encode",
    "find_registered": "registry",
    "load_model": "load",
    "open_store": "store",
    "plan": "plan",
    "predict": "predict",
    "predict_logits": "predict",
    "predict_many": "predict",
    "predict_stepwise": "predict",
    "project": "project",
    "project_many": "project",
    "project_settings_for": "reprompt",
}

__all__ = [
    "MODELS",
    "Embedding",
    "EmbeddingStore",
    "Encoded",
    "Known",
    "Model",
    "ModelSpec",
    "Plan",
    "PointsOf",
    "ProjectSettings",
    "RegionUse",
    "Reprompt",
    "Tiling",
    "choose_tiling",
    "correct_many",
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
    "project",
    "project_many",
    "project_settings_for",
]


class _Doors(types.ModuleType):
    """A package in which ``predict`` is the verb, also after the file of that name was imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Doors


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
