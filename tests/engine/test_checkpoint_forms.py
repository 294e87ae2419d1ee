"""Every form in which micro-sam keeps a model: prefixes, decoders, training checkpoints, adapters, names, downloads."""

from __future__ import annotations

import functools
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from microsam_nb.core import ModelError
from microsam_nb.engine import encode, load, load_model, registry
from microsam_nb.engine.backbones.adapters import merge_adapters
from microsam_nb.engine.backbones.decoder import UnetrDistances
from microsam_nb.engine.backbones.tiny_vit import build_tiny_vit
from microsam_nb.engine.checkpoint import Inert, read_checkpoint
from microsam_nb.engine.download import file_hash
from microsam_nb.engine.registry import RegisteredModel, Source

WIDTH = 48


def small_sam():
    """segment-anything's own classes with an encoder of 48 channels and three blocks in a frame of 64 pixels."""
    encoder = ImageEncoderViT(
        img_size=64,
        patch_size=16,
        embed_dim=WIDTH,
        depth=3,
        num_heads=2,
        out_chans=256,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=2,
        global_attn_indexes=(1,),
    )
    prompts = PromptEncoder(256, (4, 4), (64, 64), 4)
    masks = MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(1, 256, 2, 32))
    return Sam(encoder, prompts, masks)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A vit_b is small here, and the cache is empty."""
    monkeypatch.setattr(load, "_WIDTHS", {WIDTH: "vit_b"})
    build = load._build
    monkeypatch.setattr(load, "_build", lambda name: small_sam() if name == "vit_b" else build(name))
    monkeypatch.setenv("MICROSAM_CACHEDIR", str(tmp_path / "cache"))


def noisy(state, seed=1):
    """The same weights with noise, so that none is zero or one by its initial value."""
    random = torch.Generator().manual_seed(seed)
    return {
        k: v + 0.1 * torch.rand(v.shape, generator=random) if v.is_floating_point() else v.clone()
        for k, v in state.items()
    }


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    return noisy(small_sam().state_dict())


@pytest.fixture(scope="module")
def unetr():
    torch.manual_seed(0)
    return {transposed: noisy(UnetrDistances(transposed).state_dict()) for transposed in (False, True)}


def saved(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


def refused(remedy, *arguments, **named):
    with pytest.raises(ModelError) as error:
        load_model(*arguments, device="cpu", **named)
    assert remedy in error.value.remedy
    return error.value


def same(module: nn.Module, weights) -> bool:
    state = module.state_dict()
    return state.keys() == weights.keys() and all(torch.equal(state[k], v) for k, v in weights.items())


def sam_prefixed(weights):
    return {f"sam.{k}": v for k, v in weights.items()}


@pytest.mark.parametrize("prefixed", [False, True])
@pytest.mark.parametrize("form", ["plain", "model_state", "trainer"])
def test_the_same_weights_in_every_form(tmp_path, plain, prefixed, form):
    state = sam_prefixed(plain) if prefixed else plain
    optimizer = torch.optim.AdamW([nn.Parameter(torch.ones(3))])
    if form != "plain":
        state = {"model_state": state}
    if form == "trainer":
        state |= {"iteration": 3, "best_metric": 0.5, "timestamp": "today", "init": {"name": "x", "rate": None}}
        state |= {"optimizer_state": optimizer.state_dict(), "scaler_state": None}
    model = load_model(saved(tmp_path / "best.pt", state), device="cpu", precision="fp32")
    assert same(model.sam, plain)
    assert (model.spec.name, model.spec.architecture, model.spec.version) == ("best", "vit_b", "")
    assert model.spec.hash == file_hash(tmp_path / "best.pt")
    assert model.distances is None


class Loader:
    """Some class of somebody's training code."""

    def __init__(self):
        self.transform = np.add
        self.lock = [functools.partial(print, "ran"), {"path": Path("here")}]


def test_a_training_checkpoint_with_objects_beside_the_weights(tmp_path, plain, unetr, capsys):
    path = saved(
        tmp_path / "best.pt",
        {"model_state": sam_prefixed(plain), "decoder_state": unetr[False], "init": {"train_loader": Loader()}},
    )
    model = load_model(path, device="cpu", precision="fp32")
    assert same(model.sam, plain)
    assert same(model.distances, unetr[False])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("place", ["inside", "beside", "given", "given checkpoint", "safetensors"])
def test_the_decoder_is_found(tmp_path, plain, unetr, transposed, place):
    own = unetr[transposed]
    given = None
    if place == "inside":
        path = saved(tmp_path / "best.pt", {"model_state": plain, "decoder_state": own})
    elif place == "safetensors":
        path, beside = tmp_path / "mine.safetensors", tmp_path / "mine_decoder.safetensors"
        save_file(plain, path)
        save_file(own, beside)
    else:
        path = saved(tmp_path / "vit_b", plain)
        if place == "beside":
            saved(tmp_path / "vit_b_decoder", own)
        else:
            given = saved(tmp_path / "other.pt", own if place == "given" else {"model_state": {}, "decoder_state": own})
    model = load_model(path, device="cpu", decoder=given)
    assert same(model.distances, own)
    assert not model.distances.training
    with torch.no_grad():
        logits = model.distances(torch.randn(1, 256, 2, 2))
    assert logits.shape == (1, 3, 32, 32)


def test_a_given_decoder_wins(tmp_path, plain, unetr):
    path = saved(tmp_path / "best.pt", {"model_state": plain, "decoder_state": unetr[False]})
    model = load_model(path, device="cpu", decoder=saved(tmp_path / "d.pt", unetr[True]))
    assert same(model.distances, unetr[True])


def test_a_decoder_that_is_none(tmp_path, plain, unetr):
    path = saved(tmp_path / "m.pt", plain)
    refused("Check the name and the folder", path, decoder=tmp_path / "none.pt")
    refused("saved as a decoder", path, decoder=path)
    error = refused(
        "incomplete or changed", path, decoder=saved(tmp_path / "d.pt", dict(list(unetr[False].items())[1:]))
    )
    assert error.what.startswith("d.pt lacks ")
    refused("incomplete or changed", "nano", decoder=saved(tmp_path / "d.pt", unetr[False]))


class Trap:
    """Creates a file when its pickle is run."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", ["model_state", "decoder_state", "weight", "init", "decoder", "beside"])
def test_code_is_not_run_wherever_it_hides(tmp_path, plain, unetr, place, legacy):
    trap = Trap(tmp_path / "ran")
    state = {"model_state": plain, "decoder_state": unetr[False], "init": {}}
    poisoned = {"model_state": trap, "decoder_state": trap, "init": [trap], "weight": {**plain, "x": trap}}
    whole = functools.partial(torch.save, _use_new_zipfile_serialization=not legacy)
    path, given = tmp_path / "m.pt", None
    if place in ("decoder", "beside"):
        torch.save(plain, path)
        given = tmp_path / "m_decoder.pt"
        whole({**unetr[False], "x": trap}, given)
    else:
        whole({**state, "model_state" if place == "weight" else place: poisoned[place]}, path)
    if place == "init" and not legacy:
        assert same(load_model(path, device="cpu", precision="fp32").sam, plain)
    else:
        refused("holds only weights", path, decoder=given if place == "decoder" else None)
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(trap)).close()
    assert (tmp_path / "ran").exists(), "the trap works"


@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "os.system"])
def test_what_runs_commands_is_not_run(tmp_path, plain, name):
    module, _, function = name.partition(".")
    target = tmp_path / "ran"
    argument = f"open({str(target)!r}, 'w')" if function == "eval" else f"touch {target}"

    class Command:
        def __reduce__(self):
            return getattr(__import__(module), function), (argument,)

    path = saved(tmp_path / "m.pt", {"model_state": plain, "init": Command()})
    if function == "eval":
        load_model(path, device="cpu", precision="fp32")
    else:
        refused("holds only weights", path)
    assert not target.exists()


def test_nothing_stays_allowed_after_reading(tmp_path, plain):
    before = torch.serialization.get_safe_globals()
    read_checkpoint(saved(tmp_path / "m.pt", {"model_state": plain, "init": Loader()}))
    after = torch.serialization.get_safe_globals()
    assert {str(one) for one in after} == {str(one) for one in before}
    assert "Inert" not in str(after)


def test_training_checkpoints_are_read_in_several_threads(tmp_path, plain):
    path = saved(tmp_path / "m.pt", {"model_state": plain, "init": Loader()})
    found, errors = [], []

    def read():
        try:
            found.append(len(read_checkpoint(path).sam))
        except ModelError as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert found == [len(plain)] * 8


def test_an_inert_object_takes_anything():
    one = Inert(1, 2)
    one.__setstate__({"a": 1})
    assert vars(one) == {}


def test_a_checkpoint_for_instances_only(tmp_path, unetr):
    state = {"encoder.neck.0.weight": torch.zeros(1), **unetr[False]}
    refused("Train with prompts and instances", saved(tmp_path / "m.pt", {"model_state": state}))


# Adapters: each is put over the plain layers as it is trained, and the merged weights must compute the same.


class LowRank(nn.Module):
    """LoRA or FacT over queries, keys and values."""

    def __init__(self, qkv, rank, letters, fact):
        super().__init__()
        self.qkv_proj, self.letters, self.fact = qkv, letters, fact
        if fact:
            self.FacTu, self.FacTv = nn.Linear(WIDTH, rank, bias=False), nn.Linear(rank, WIDTH, bias=False)
        for letter in letters:
            if fact:
                setattr(self, f"{letter}_FacTs", nn.Linear(rank, rank, bias=False))
            else:
                setattr(self, f"w_a_linear_{letter}", nn.Linear(WIDTH, rank, bias=False))
                setattr(self, f"w_b_linear_{letter}", nn.Linear(rank, WIDTH, bias=False))

    def change(self, letter, x):
        if self.fact:
            return self.FacTv(getattr(self, f"{letter}_FacTs")(self.FacTu(x)))
        return getattr(self, f"w_b_linear_{letter}")(getattr(self, f"w_a_linear_{letter}")(x))

    def forward(self, x):
        thirds = self.qkv_proj(x).split(WIDTH, dim=-1)
        changed = [
            t + self.change(letter, x) if letter in self.letters else t for letter, t in zip("qkv", thirds, strict=True)
        ]
        return torch.cat(changed, dim=-1)


class LowRankPerceptron(nn.Module):
    """LoRA over both layers of the perceptron."""

    def __init__(self, mlp, rank):
        super().__init__()
        self.mlp_layer = mlp
        self.w_a_linear_1, self.w_b_linear_1 = nn.Linear(WIDTH, rank, False), nn.Linear(rank, 4 * WIDTH, False)
        self.w_a_linear_2, self.w_b_linear_2 = nn.Linear(4 * WIDTH, rank, False), nn.Linear(rank, WIDTH, False)

    def forward(self, x):
        x = self.mlp_layer.act(self.mlp_layer.lin1(x) + self.w_b_linear_1(self.w_a_linear_1(x)))
        return self.mlp_layer.lin2(x) + self.w_b_linear_2(self.w_a_linear_2(x))


class ScaleShift(nn.Module):
    """SSF over one layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.scale, self.shift = (nn.Parameter(torch.randn(layer.bias.shape)) for _ in range(2))

    def forward(self, x):
        return self.layer(x) * self.scale + self.shift


class Bottleneck(nn.Module):
    """AdaptFormer beside the perceptron."""

    def __init__(self, mlp):
        super().__init__()
        self.mlp_proj, self.alpha = mlp, nn.Parameter(torch.ones(1))
        self.down_proj, self.up_proj = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)


def adapt(sam, kind):
    """Put the adapters of one kind into every block, or only into one."""
    blocks = list(sam.image_encoder.blocks)[1:2] if kind == "lora in one block" else sam.image_encoder.blocks
    for block in blocks:
        if kind == "ssf":
            for owner, name in (
                (block, "norm1"), (block, "norm2"), (block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "lin1"),
                (block.mlp, "lin2"),
            ):  # fmt: skip
                setattr(owner, name, ScaleShift(getattr(owner, name)))
        elif kind == "adaptformer":
            block.mlp = Bottleneck(block.mlp)
        else:
            letters = {"lora k": "k", "lora qkv and perceptron": "qvk"}.get(kind, "qv")
            block.attn.qkv = LowRank(block.attn.qkv, 3 if "perceptron" in kind else 5, letters, kind == "fact")
            if "perceptron" in kind:
                block.mlp = LowRankPerceptron(block.mlp, 3)


KINDS = ["lora", "lora k", "lora qkv and perceptron", "lora in one block", "fact", "ssf"]


@pytest.fixture
def adapted(plain, tmp_path):
    """Write a checkpoint with adapters of a kind; returns its path and the model that it was saved from."""

    def write(kind):
        torch.manual_seed(4)
        sam = small_sam()
        sam.load_state_dict(plain)
        adapt(sam, kind)
        sam.load_state_dict(noisy(sam.state_dict(), seed=2))
        path = saved(tmp_path / "finetuned.pt", {"model_state": sam_prefixed(sam.state_dict())})
        return path, sam.eval()

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_merged_adapters_compute_the_same(adapted, plain, kind):
    path, sam = adapted(kind)
    model = load_model(path, device="cpu", precision="fp32")
    assert model.sam.state_dict().keys() == plain.keys()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        theirs, ours = sam.image_encoder(x), model.sam.image_encoder(x)
        before = small_sam()
        before.load_state_dict(plain)
        unadapted = before.eval().image_encoder(x)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert (ours - unadapted).abs().max() > 0.01, "the adapters do something"


def test_against_micro_sam(plain):
    """Directly against micro-sam's own adapters, where it is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("micro_sam.models.peft_sam", exc_type=ImportError)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    for options in (
        {"rank": 4},
        {"rank": 3, "update_matrices": ["q", "k", "v", "mlp"]},
        {"rank": 4, "attention_layers_to_update": [1]},
        {"rank": 4, "peft_module": peer.FacTSurgery},
        {"rank": 4, "peft_module": peer.SSFSurgery},
    ):
        theirs = peer.PEFT_Sam(small_sam(), **options).sam.eval()
        state = noisy(theirs.state_dict())
        theirs.load_state_dict(state)
        ours = small_sam().eval()
        ours.load_state_dict(merge_adapters(state, "x"))
        with torch.inference_mode():
            torch.testing.assert_close(ours.image_encoder(x), theirs.image_encoder(x), atol=1e-4, rtol=1e-4)


def test_adaptformer_is_refused(adapted):
    error = refused("finetune again with LoRA", adapted("adaptformer")[0])
    assert "AdaptFormer" in error.what


def test_quantised_weights_are_refused(adapted, tmp_path):
    state = torch.load(adapted("lora")[0], weights_only=True)["model_state"]
    state["sam.image_encoder.blocks.0.attn.proj.weight.absmax"] = torch.zeros(4)
    state["sam.image_encoder.blocks.0.attn.proj.weight.quant_map"] = torch.zeros(16)
    refused("export_custom_qlora_model", saved(tmp_path / "q.pt", {"model_state": state}))


@pytest.mark.parametrize(
    "lost",
    ["w_a_linear_q.weight", "w_b_linear_v.weight", "qkv_proj.bias", "mlp_layer.lin1.bias", "w_b_linear_2.weight"],
)
def test_adapters_that_are_incomplete(adapted, tmp_path, lost):
    state = torch.load(adapted("lora qkv and perceptron")[0], weights_only=True)["model_state"]
    state.pop(next(key for key in state if key.endswith(lost)))
    error = refused("export it again", saved(tmp_path / "l.pt", {"model_state": state}))
    assert "do not fit" in error.what


def test_adapters_of_another_width(adapted, tmp_path):
    state = torch.load(adapted("lora")[0], weights_only=True)["model_state"]
    key = next(key for key in state if key.endswith("w_a_linear_q.weight"))
    state[key] = torch.zeros(5, WIDTH + 1)
    refused("export it again", saved(tmp_path / "l.pt", {"model_state": state}))


# Names.


@pytest.fixture
def named(monkeypatch, tmp_path, plain, unetr):
    """A registered model whose files can be put into the cache."""
    folder = tmp_path / "cache" / "models"
    folder.mkdir(parents=True)
    saved(folder / "vit_b_mine", plain)
    saved(folder / "vit_b_mine_decoder", unetr[True])
    weights, decoder = (
        Source("http://127.0.0.1:1/w", file_hash(folder / name).removeprefix("xxh128:"))
        for name in ("vit_b_mine", "vit_b_mine_decoder")
    )
    model = RegisteredModel("vit_b_mine", "vit_b", "a test", weights, decoder, "v7")
    monkeypatch.setitem(registry._BY_NAME, "vit_b_mine", model)
    return folder


def test_a_name_loads_the_weights_that_micro_sam_left(named, plain, unetr):
    model = load_model("vit_b_mine", device="cpu", precision="fp32")
    assert same(model.sam, plain)
    assert same(model.distances, unetr[True])
    assert model.spec.hash == file_hash(named / "vit_b_mine")
    assert (model.spec.name, model.spec.label) == ("vit_b_mine", "vit_b_mine (v7)")


def test_a_name_wins_over_a_file_in_the_working_folder(named, plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vit_b_mine").write_text("something else")
    assert same(load_model("vit_b_mine", device="cpu", precision="fp32").sam, plain)
    refused("Download it again", Path("vit_b_mine"))
    refused("Download it again", "./vit_b_mine")


@pytest.mark.parametrize("lost", ["vit_b_mine", "vit_b_mine_decoder"])
def test_offline_a_name_says_which_file_to_put_where(named, lost):
    (named / lost).unlink()
    error = refused(f"save it as {named / lost}", "vit_b_mine")
    assert "cannot be reached" in error.what


def test_a_damaged_file_is_not_taken(named):
    (named / "vit_b_mine").write_bytes(b"torn")
    refused(f"save it as {named / 'vit_b_mine'}", "vit_b_mine")


def test_a_wrong_device_is_said_before_a_download(tmp_path):
    with pytest.raises(ModelError, match="Choose 'auto' or 'cpu'"):
        load_model("vit_b_lm", device="nonsense")


def test_find_weights_does_not_download(tmp_path):
    assert load.find_weights("vit_l_lm") == (tmp_path / "cache" / "models" / "vit_l_lm", "vit_l_lm")


def test_mobile_sam_loads_and_encodes(tmp_path, exact):
    torch.manual_seed(0)
    state = noisy(build_tiny_vit().state_dict())
    model = load_model(saved(tmp_path / "mobile_sam.pt", state), device="cpu", precision="fp32")
    assert model.spec.architecture == "vit_t"
    assert model.frame == 1024
    assert same(model.sam, state)
    embedding = encode(model, np.zeros((40, 60), np.uint8))
    assert embedding.features.shape == (1, 256, 64, 64)
    assert embedding.input_size == (683, 1024)
