"""Data sets of light microscopy; ``table`` says where the facts are from."""

from .structure import ALL, DataSet, Layout, hdf5

_TEST = {"test": "test", "val": "val", "train": "train"}
_VAL = {"val": "val", "train": "train"}
_LM = "light_microscopy"
_SPLIT = {"split": "{split}"}


def _plantseg(what: str) -> DataSet:
    return DataSet(
        f"plantseg-{what}",
        f"PlantSeg {what}",
        "LM 3D",
        "unknown",
        "unknown",
        "https://doi.org/10.7554/eLife.57613",
        (hdf5(f"{what}_{{split}}/*.h5", "raw", "label", "zyx", "zyx"),),
        _TEST,
        f"{_LM}.plantseg.get_plantseg_data",
        {"name": what, **_SPLIT},
    )


LIGHT = (
    DataSet(
        "livecell",
        "LIVECell",
        "LM 2D",
        "5,239 images",
        "CC BY-NC 4.0",
        "https://sartorius-research.github.io/LIVECell",
        tuple(
            Layout(f"images/livecell_{part}_images/{inside}*.tif", labels)
            for part in ("test", "train_val")
            for inside in ("", "*/")
            for labels in ("{split}.json", "livecell_coco_{split}.json")
        ),
        _TEST,
        f"{_LM}.livecell.get_livecell_paths",
        _SPLIT,
    ),
    DataSet(
        "deepbacs",
        "DeepBacs (mixed)",
        "LM 2D",
        "unknown",
        "CC BY 4.0",
        "https://zenodo.org/record/5551009",
        (
            Layout("mixed/{split}/source/*.tif", "mixed/{split}/target/*.tif"),
            Layout("{split}/source/*.tif", "{split}/target/*.tif"),
        ),
        {"test": "test", "val": "val", "train": "training"},
        f"{_LM}.deepbacs.get_deebacs_data",
        {"bac_type": "mixed"},
    ),
    DataSet(
        "tissuenet",
        "TissueNet 1.1 (cells)",
        "LM 2D",
        "unknown",
        "for non-commercial use",
        "https://datasets.deepcell.org",
        (
            Layout("tissuenet_v1.1_{split}.npz", "tissuenet_v1.1_{split}.npz", "X", "y", "nyxc", "nyxc"),
            Layout("{split}/*.zarr", "{split}/*.zarr", "raw/rgb", "labels/cell", "cyx", "yx"),
        ),
        _TEST,
    ),
    _plantseg("root"),
    _plantseg("ovules"),
    DataSet(
        "dsb",
        "Data Science Bowl 2018, nuclei",
        "LM 2D",
        "497 images",
        "CC0",
        "https://bbbc.broadinstitute.org/BBBC038",
        tuple(Layout(f"{top}{{split}}/images/*.tif", f"{top}{{split}}/masks/*.tif") for top in ("", "dsb2018/")),
        {"test": "test", "train": "train"},
        f"{_LM}.dsb.get_dsb_data",
        {"source": "reduced"},
    ),
    DataSet(
        "neurips-cellseg",
        "NeurIPS 2022 cell segmentation",
        "LM 2D",
        "1,000 images to train on",
        "unknown",
        "https://zenodo.org/records/10719375",
        tuple(
            Layout(f"{{split}}/images/*.{end}", "{split}/labels/*_label.tiff")
            for end in ("png", "tif", "tiff", "bmp", "jpg")
        ),
        {"test": "Testing/Public", "val": "Tuning", "train": "Training-labeled"},
        f"{_LM}.neurips_cell_seg.get_neurips_cellseg_data",
        _SPLIT,
    ),
    DataSet(
        "covid-if",
        "Covid IF (cells)",
        "LM 2D",
        "49 images",
        "CC BY 4.0",
        "https://zenodo.org/record/5092850",
        (hdf5("*.h5", "raw/serum_IgG/s0", "labels/cells/s0", "yx", "yx"),),
        ALL,
        f"{_LM}.covid_if.get_covid_if_data",
    ),
    DataSet(
        "hpa",
        "Human Protein Atlas (cells)",
        "LM 2D",
        "266 images with labels",
        "unknown",
        "https://zenodo.org/record/4665863",
        (hdf5("{split}/*.h5", "raw", "labels", "cyx", "yx"),),
        _VAL,
        f"{_LM}.hpa.get_hpa_segmentation_data",
        {"channels": "microtubules,protein,nuclei,er"},
    ),
    DataSet(
        "lizard",
        "Lizard (H&E, nuclei)",
        "LM 2D",
        "238 images",
        "CC BY-NC-SA 4.0",
        "https://www.kaggle.com/datasets/aadimator/lizard-dataset",
        (
            hdf5("{split}/*.h5", "image", "labels/segmentation", "cyx", "yx"),
            *(
                Layout(
                    f"lizard_images{i}/Lizard_Images{i}/*.png",
                    "lizard_labels/Lizard_Labels/Labels/*.mat",
                    "",
                    "inst_map",
                    "yxc",
                    "yx",
                )
                for i in (1, 2)
            ),
        ),
        {"test": "split3", "val": "split2", "train": "split1"},
        "histopathology.lizard.get_lizard_data",
        {"split": "{called}"},
    ),
    DataSet(
        "mouse-embryo",
        "Mouse embryo (nuclei)",
        "LM 3D",
        "unknown",
        "CC BY 4.0",
        "https://zenodo.org/record/6546550",
        (hdf5("Nuclei/{split}/*.h5", "raw", "label", "zyx", "zyx"),),
        {"test": "test", "train": "train"},
        f"{_LM}.mouse_embryo.get_mouse_embryo_data",
    ),
    DataSet(
        "ctc",
        "Cell Tracking Challenge (2D, labelled frames)",
        "LM movie",
        "10 sets of 2 movies",
        "ask at the source",
        "https://celltrackingchallenge.net/2d-datasets",
        tuple(
            Layout(f"{top}*/t*.tif", f"{top}*_GT/SEG/man_seg*.tif", axes="yx", label_axes="yx")
            for top in ("", "*/", "train/*/")
        ),
        ALL,
    ),
    DataSet(
        "dynamicnuclearnet",
        "DynamicNuclearNet",
        "LM 2D",
        "unknown",
        "for non-commercial use",
        "https://datasets.deepcell.org",
        (
            *(
                Layout(f"{top}{{split}}.npz", f"{top}{{split}}.npz", "X", "y", "nyxc", "nyxc")
                for top in ("DynamicNuclearNet-segmentation-v1_0/", "")
            ),
            Layout("{split}/*.zarr", "{split}/*.zarr", "raw", "labels", "yx", "yx"),
        ),
        _TEST,
    ),
    DataSet(
        "pannuke",
        "PanNuke (H&E, nuclei)",
        "LM 2D",
        "7,901 images of 256 x 256",
        "CC BY-NC-SA 4.0",
        "https://warwick.ac.uk/fac/cross_fac/tia/data/pannuke",
        (hdf5("pannuke_{split}.h5", "images", "labels/instances", "cnyx", "nyx"),),
        {"test": "fold_3", "val": "fold_2", "train": "fold_1"},
    ),
)
