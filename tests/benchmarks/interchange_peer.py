"""micro-sam's answers: see interchange.py. usage: interchange_peer.py FOLDER, run by a Python that has micro-sam"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from micro_sam import util
from micro_sam.instance_segmentation import get_predictor_and_decoder


def main() -> None:
    folder = Path(sys.argv[1])
    told = json.loads((folder / "tasks.json").read_text())
    for file, apart in told["files"].items():
        more = {"peft_kwargs": {"rank": told["rank"]}} if apart else {}
        predictor, decoder = get_predictor_and_decoder("vit_b", folder / file, device="cpu", **more)
        # micro-sam leaves it in training mode, in which it normalises by the image at hand.
        decoder.eval()
        # The same file by the door that annotators use.
        util.get_sam_model("vit_b", device="cpu", checkpoint_path=folder / file, **more)
        for task in told["images"]:
            pixels = np.load(folder / f"{task['name']}.npy")
            predictor.set_image(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2))
            masks = [ask(predictor, box=np.array([x0, y0, x1, y1])) for y0, x0, y1, x1 in task["boxes"]]
            # segment-anything counts from the middle of the first pixel.
            clicks = [np.array([[x - 0.5, y - 0.5]]) for y, x in task["points"]]
            masks += [ask(predictor, point_coords=one, point_labels=np.array([1])) for one in clicks]
            with torch.no_grad():
                # In the frame, without what is beyond the image.
                size = predictor.input_size
                maps = decoder(predictor.features, size, size)[0].numpy()
            name = f"{Path(file).with_suffix('')}-{task['name']}.npz"
            np.savez(folder / name, masks=np.stack(masks), maps=maps)


def ask(predictor, **prompt) -> np.ndarray:
    """Return the mask (y, x) of a box, or the one of three for a click that is surest."""
    masks, scores, _ = predictor.predict(**prompt, multimask_output="box" not in prompt)
    return masks[scores.argmax()]


if __name__ == "__main__":
    main()
