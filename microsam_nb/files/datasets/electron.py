"""Data sets of electron microscopy; ``table`` says where the facts are from."""

from .structure import ALL, DataSet, Layout, hdf5

_VAL = {"val": "val", "train": "train"}
_EM = "electron_microscopy"
_SPLIT = {"split": "{split}"}


def _asem(what: str, title: str) -> DataSet:
    # Volumes whose labels are smaller than the image are refused one by one; torch-em crops them.
    layout = Layout("*/*.zarr", "*/*.zarr", "volumes/raw", f"volumes/labels/{what}", "zyx", "zyx")
    return DataSet(
        f"asem-{what}",
        f"ASEM {title}",
        "EM 3D",
        "4 to 6 cells, very large",
        "unknown",
        "https://open.quiltdata.com/b/asem-project",
        (layout,),
        ALL,
    )


ELECTRON = (
    DataSet(
        "lucchi",
        "Lucchi++ (mitochondria)",
        "EM 3D",
        "2 volumes of 165 x 768 x 1,024",
        "unknown",
        "https://sites.google.com/view/connectomics",
        # torch-em calls the volume of the folders Test_ lucchi_train.h5, and the other way round.
        (
            Layout("lucchi_{split}.h5", "lucchi_{split}.h5", "raw", "labels", "zyx", "zyx", binary=True),
            Layout(
                "Lucchi++/{Split}_In", "Lucchi++/{Split}_Out", axes="zyx", label_axes="zyx", planes=True, binary=True
            ),
        ),
        {"test": "test", "train": "train"},
        f"{_EM}.lucchi.get_lucchi_data",
        _SPLIT,
    ),
    DataSet(
        "mitolab",
        "MitoLab training",
        "EM 2D",
        "more than 20,000 images",
        "CC0",
        "https://www.ebi.ac.uk/empiar/EMPIAR-11037",
        tuple(
            Layout(f"{top}*/images/*.tiff", f"{top}*/masks/*.tiff")
            for top in ("cem_mitolab/", "", "11037/cem_mitolab/")
        ),
        ALL,
    ),
    DataSet(
        "mitolab-evaluation",
        "MitoLab evaluation",
        "EM 3D",
        "6 volumes",
        "CC0",
        "https://www.ebi.ac.uk/empiar/EMPIAR-10982",
        tuple(
            Layout(f"{top}*/*_em.tif", f"{top}*/*_mito.tif", axes="zyx", label_axes="zyx")
            for top in ("data/mito_benchmarks/", "mito_benchmarks/", "10982/data/mito_benchmarks/", "")
        ),
        ALL,
    ),
    DataSet(
        "mitoem",
        "MitoEM",
        "EM 3D",
        "2 volumes, very large",
        "unknown",
        "https://huggingface.co/datasets/pytc/MitoEM",
        # torch-em makes n5 of it, which cannot be read here: its planes are read as they are downloaded.
        tuple(
            Layout(f"{top}im/im*.png", f"{top}mito-{{split}}-v2/seg*.tif", axes="yx", label_axes="yx")
            for top in ("", "*/")
        ),
        _VAL,
    ),
    DataSet(
        "urocell",
        "UroCell (mitochondria)",
        "EM 3D",
        "5 volumes",
        "unknown",
        "https://github.com/MancaZerovnikMekuc/UroCell",
        (hdf5("*.h5", "raw", "labels/mito", "zyx", "zyx"),),
        ALL,
        f"{_EM}.uro_cell.get_uro_cell_data",
    ),
    DataSet(
        "vnc",
        "VNC (mitochondria)",
        "EM 3D",
        "20 planes of 1,024 x 1,024",
        "unknown",
        "https://github.com/unidesigner/groundtruth-drosophila-vnc",
        (
            hdf5("vnc_train.h5", "raw", "labels/mitochondria", "zyx", "zyx"),
            *(
                Layout(
                    f"{top}stack1/raw",
                    f"{top}stack1/mitochondria",
                    axes="zyx",
                    label_axes="zyx",
                    planes=True,
                    binary=True,
                )
                for top in ("groundtruth-drosophila-vnc-master/", "")
            ),
        ),
        ALL,
        f"{_EM}.vnc.get_vnc_data",
    ),
    DataSet(
        "cremi",
        "CREMI (neurons)",
        "EM 3D",
        "3 volumes of 125 x 1,250 x 1,250",
        "unknown",
        "https://cremi.org",
        tuple(
            hdf5(pattern, "volumes/raw", "volumes/labels/neuron_ids", "zyx", "zyx")
            for pattern in ("sample*.h5", "sample_*.hdf")
        ),
        ALL,
        f"{_EM}.cremi.get_cremi_data",
        {"samples": "A,B,C"},
    ),
    DataSet(
        "nucmm-m",
        "NucMM-M (nuclei)",
        "EM 3D",
        "unknown",
        "unknown",
        "https://doi.org/10.1007/978-3-030-87193-2_16",
        (
            hdf5("mouse/{split}/*.h5", "raw", "labels", "zyx", "zyx"),
            *(
                Layout(f"{top}Image/{{split}}/*.h5", f"{top}Label/{{split}}/*.h5", "main", "main", "zyx", "zyx")
                for top in ("Mouse (NucMM-M)/", "")
            ),
        ),
        _VAL,
        f"{_EM}.nuc_mm.get_nuc_mm_data",
        {"sample": "mouse"},
    ),
    DataSet(
        "platyem-nuclei",
        "PlatyEM nuclei",
        "EM 3D",
        "12 volumes",
        "CC BY 4.0",
        "https://zenodo.org/record/3675220",
        (hdf5("nuclei/train_data_nuclei_*.h5", "volumes/raw", "volumes/labels/nucleus_instance_labels", "zyx", "zyx"),),
        ALL,
        f"{_EM}.platynereis.get_platy_data",
        {"name": "nuclei"},
    ),
    DataSet(
        "platyem-cilia",
        "PlatyEM cilia",
        "EM 3D",
        "3 volumes",
        "CC BY 4.0",
        "https://zenodo.org/record/3675220",
        (hdf5("cilia/train_data_cilia_*.h5", "volumes/raw", "volumes/labels/segmentation", "zyx", "zyx"),),
        ALL,
        f"{_EM}.platynereis.get_platy_data",
        {"name": "cilia"},
    ),
    _asem("mito", "mitochondria"),
    _asem("er", "endoplasmic reticulum"),
    DataSet(
        "sponge-em",
        "SpongeEM",
        "EM 3D",
        "3 volumes",
        "CC BY 4.0",
        "https://zenodo.org/record/8150818",
        (hdf5("train_data_0*.h5", "volumes/raw", "volumes/labels/instances", "zyx", "zyx"),),
        ALL,
        f"{_EM}.sponge_em.get_sponge_em_data",
    ),
)
