"""Every model that can be had by name: micro-sam's, segment-anything's, MobileSAM's, and the embedded nano.

Names, addresses and hashes are those of micro-sam, so that both use the same files.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ..core import ModelError

#: Parameters of each architecture in millions; four bytes each in a file.
PARAMETERS = {"nano": 4.4, "vit_t": 10.1, "vit_b": 93.7, "vit_l": 312.3, "vit_h": 641.1}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file of weights lies, and the xxh128 hash of its content in hexadecimal digits."""

    url: str
    xxh128: str

    @property
    def identity(self) -> str:
        """The hash as embedding stores carry it."""
        return f"xxh128:{self.xxh128}"


@dataclass(frozen=True, slots=True)
class AutomaticDefaults:
    """Thresholds that suit a model when it segments everything by itself.

    ``centre`` and ``boundary`` distance, ``smoothing`` in pixels: for the instance decoder. ``iou`` and ``stability``:
    for the grid of points. ``min_size`` in pixels, for both. ``use_decoder`` False: the grid is the better choice.
    """

    centre: float = 0.5
    boundary: float = 0.5
    smoothing: float = 1.6
    iou: float = 0.88
    stability: float = 0.95
    min_size: int = 0
    use_decoder: bool = True


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model with a name; ``weights`` is None where they are part of the package, ``decoder`` where there is none."""

    name: str
    architecture: str
    about: str
    weights: Source | None
    decoder: Source | None = None
    version: str = ""
    automatic: AutomaticDefaults = AutomaticDefaults()

    @property
    def label(self) -> str:
        """The name with its version, for people: "vit_b_lm (v4)"."""
        return f"{self.name} ({self.version})" if self.version else self.name

    @property
    def has_decoder(self) -> bool:
        """Whether it can find every instance by itself with its instance decoder."""
        return self.decoder is not None or self.weights is None

    @property
    def megabytes(self) -> int:
        """About how large the files are."""
        decoder = 41 if self.decoder else 0
        return round(4 * PARAMETERS[self.architecture]) + decoder


def _meta(name: str, file: str, xxh128: str, about: str) -> RegisteredModel:
    source = Source(f"https://dl.fbaipublicfiles.com/segment_anything/{file}", xxh128)
    return RegisteredModel(name, name, about, source)


def _zoo(
    name: str, version: str, place: str, hashes: tuple[str, str], about: str, automatic: AutomaticDefaults
) -> RegisteredModel:
    """A finetuned model in the BioImage Model Zoo; ``place`` is its nickname and version there."""
    architecture = name[:5]
    base = f"https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io/{place}/files/{architecture}"
    weights, decoder = Source(f"{base}.pt", hashes[0]), Source(f"{base}_decoder.pt", hashes[1])
    return RegisteredModel(name, architecture, about, weights, decoder, version, automatic)


def _cloud(
    name: str,
    shares: tuple[str, str],
    hashes: tuple[str, str],
    about: str,
    automatic: AutomaticDefaults = AutomaticDefaults(),
) -> RegisteredModel:
    """A finetuned model on the ownCloud of GWDG; ``shares`` are the folders of weights and decoder there."""
    weights, decoder = (
        Source(f"https://owncloud.gwdg.de/index.php/s/{share}/download", one)
        for share, one in zip(shares, hashes, strict=True)
    )
    return RegisteredModel(name, name[:5], about, weights, decoder, "v1", automatic)


#: As micro-sam's own window sets them.
_T_LIGHT = AutomaticDefaults(centre=0.5, boundary=0.5, smoothing=2.0, iou=0.60, stability=0.65, min_size=100)
_B_LIGHT = AutomaticDefaults(centre=0.4, boundary=0.5, smoothing=2.0, iou=0.65, stability=0.70, min_size=100)
_L_LIGHT = AutomaticDefaults(centre=0.4, boundary=0.4, smoothing=1.6, iou=0.65, stability=0.73, min_size=100)
_T_ORGANELLES = AutomaticDefaults(centre=0.4, boundary=0.5, smoothing=1.2, iou=0.75, stability=0.75, min_size=100)
_B_ORGANELLES = AutomaticDefaults(centre=0.3, boundary=0.4, smoothing=1.2, iou=0.75, stability=0.75, min_size=100)
_L_ORGANELLES = AutomaticDefaults(centre=0.3, boundary=0.4, smoothing=1.2, iou=0.80, stability=0.80, min_size=100)

_LIGHT = "light microscopy: cells and nuclei in fluorescence, phase contrast and more"
_ORGANELLES = "electron microscopy: mitochondria, nuclei and other roundish organelles"
_HISTOLOGY = "histopathology: nuclei in H&E stained tissue"

MODELS: tuple[RegisteredModel, ...] = (
    RegisteredModel("nano", "nano", "embedded in the package: microscopy, small and fast on a processor", None),
    _zoo(
        "vit_t_lm",
        "v3",
        "faithful-chicken/1.1",
        ("72ec5074774761a6e5c05a08942f981e", "3e914a5f397b0312cdd36813031f8823"),
        f"{_LIGHT} (smallest)",
        _T_LIGHT,
    ),
    _zoo(
        "vit_b_lm",
        "v4",
        "diplomatic-bug/1.2",
        ("fe9252a29f3f4ea53c15a06de471e186", "708b15ac620e235f90bb38612c4929ba"),
        _LIGHT,
        _B_LIGHT,
    ),
    _zoo(
        "vit_l_lm",
        "v4",
        "idealistic-rat/1.2",
        ("017f20677997d628426dec80a8018f9d", "2faeafa03819dfe03e7c46a44aaac64a"),
        f"{_LIGHT} (large)",
        _L_LIGHT,
    ),
    _zoo(
        "vit_t_em_organelles",
        "v2",
        "greedy-whale/1",
        ("253474720c497cce605e57c9b1d18fd9", "8f897c7bb93174a4d1638827c4dd6f44"),
        f"{_ORGANELLES} (smallest)",
        _T_ORGANELLES,
    ),
    _zoo(
        "vit_b_em_organelles",
        "v4",
        "noisy-ox/1.2",
        ("f3bf2ed83d691456bae2c3f9a05fb438", "bb6398956a6b0132c26b631c14f95ce2"),
        _ORGANELLES,
        _B_ORGANELLES,
    ),
    _zoo(
        "vit_l_em_organelles",
        "v4",
        "humorous-crab/1.2",
        ("810b084b6e51acdbf760a993d8619f2d", "334877640bfdaaabce533e3252a17294"),
        f"{_ORGANELLES} (large)",
        _L_ORGANELLES,
    ),
    _cloud(
        "vit_b_histopathology",
        ("sBB4H8CTmIoBZsQ", "KO9AWqynI7SFOBj"),
        ("ffd1a2cd84570458b257bd95fdd8f974", "6a66194dcb6e36199cbee2214ecf7213"),
        _HISTOLOGY,
    ),
    _cloud(
        "vit_l_histopathology",
        ("IZgnn1cpBq2PHod", "oIs6VSmkOp7XrKF"),
        ("b591833c89754271023e901281dee3f2", "46aab7765d4400e039772d5a50b55c04"),
        f"{_HISTOLOGY} (large)",
    ),
    _cloud(
        "vit_h_histopathology",
        ("L7AcvVz7DoWJ2RZ", "1qAKxy5H0jgwZvM"),
        ("bd1856dafc156a43fb3aa705f1a6e92e", "3ed9f87e46ad5e16935bd8d722c8dc47"),
        f"{_HISTOLOGY} (huge)",
    ),
    _cloud(
        "vit_b_medical_imaging",
        ("f5Ol4FrjPQWfjUF", "ahd3ZhZl2e0RIwz"),
        ("40169f1e3c03a4b67bff58249c176d92", "9e498b12f526f119b96c88be76e3b2ed"),
        "medical images: CT, MRI, X-ray, ultrasound and more",
        AutomaticDefaults(use_decoder=False),
    ),
    RegisteredModel(
        "vit_t",
        "vit_t",
        "photographs: MobileSAM, the smallest",
        Source("https://owncloud.gwdg.de/index.php/s/TuDzuwVDHd1ZDnQ/download", "8eadbc88aeb9d8c7e0b4b60c3db48bd0"),
    ),
    _meta("vit_b", "sam_vit_b_01ec64.pth", "6923c33df3637b6a922d7682bfc9a86b", "photographs: Segment Anything"),
    _meta("vit_l", "sam_vit_l_0b3195.pth", "a82beb3c660661e3dd38d999cc860e9a", "photographs: Segment Anything (large)"),
    _meta("vit_h", "sam_vit_h_4b8939.pth", "97698fac30bd929c2e6d8d8cc15933c2", "photographs: Segment Anything (huge)"),
)
_BY_NAME = {model.name: model for model in MODELS}
NAMES = tuple(_BY_NAME)


def registered(name: str) -> RegisteredModel | None:
    """Return the model of that name, or None."""
    return _BY_NAME.get(name)


def find_registered(name: str) -> RegisteredModel:
    """Return the model of that name. Raises ModelError, which suggests the nearest name."""
    # A label, as lists of models show it, is as good as a name.
    model = _BY_NAME.get(name) or next((one for one in MODELS if one.label == name), None)
    if model is None:
        near = _nearest(name)
        hint = f"Did you mean {near!r}? " if near else ""
        raise ModelError(f"There is no model named {name!r}.", f"{hint}Choose a name that 'microsam-nb info' lists.")
    return model


def suggestion(name: str) -> str:
    """Return a sentence that helps on where neither a model nor a file has that name."""
    near = _nearest(name)
    hint = f"Did you mean {near!r}? Otherwise give" if near else "Give"
    return f"{hint} one of the names that 'microsam-nb info' lists, or the path of a checkpoint file."


def _nearest(name: str) -> str:
    return next(iter(difflib.get_close_matches(name.lower(), NAMES, 1, 0.4)), "")
