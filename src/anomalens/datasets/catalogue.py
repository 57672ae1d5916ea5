"""The datasets known by name: what they are, their terms, where they come from, how they are laid out.

An address with checksums is given only where several independent projects pin the same bytes. For all
others the official page is named in words and people fetch the data themselves: most ask for
agreement to their terms first, and several have moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anomalens.datasets.forms import (
    cifar_binary,
    fer2013_table,
    folders,
    house_numbers,
    idx_files,
    npz_arrays,
    places,
    products,
    surfaces,
    tar_archives,
    textures,
    walkway_clips,
)
from anomalens.datasets.task import Form


@dataclass(frozen=True)
class Download:
    """One file at a published address.

    Attributes
    ----------
    url : str
    sha256 : str
        The whole file's hash.
    size : int
        Its bytes; more are never accepted.
    """

    url: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """What it is stored as."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Dataset:
    """One published dataset.

    Attributes
    ----------
    name, what, licence : str
    page : str
        Where it is published, in words.
    fetch : str
        What to fetch there and how to unpack it, in words.
    forms : tuple of Form
        Its layouts, the published one first.
    protocol : str
        The protocol when none is asked for.
    categories : tuple of str
        Names by which a folder is told from others of the same layout.
    downloads : tuple of Download
    places : tuple of str
        Where a system package installs it.
    package : str
        The command that installs that package.
    """

    name: str
    what: str
    licence: str
    page: str
    fetch: str
    forms: tuple[Form, ...]
    protocol: str = "split"
    categories: tuple[str, ...] = ()
    downloads: tuple[Download, ...] = ()
    places: tuple[Path, ...] = ()
    package: str = ""


_MVTEC = (folders.CATEGORIES, folders.CATEGORY)
_MVTEC_TERMS: Final = "CC BY-NC-SA 4.0"
_UNSTATED: Final = "none stated; ask the authors before any but research use"


def _mnist(part: str, size: int, sha256: str) -> Download:
    return Download(f"https://storage.googleapis.com/cvdf-datasets/mnist/{part}-ubyte.gz", sha256, size)


_CIFAR_100 = Download(
    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    168513733,
)


# fmt: off
DATASETS: Final[dict[str, Dataset]] = {entry.name: entry for entry in (
    Dataset(
        "mvtec-ad", "15 industrial objects and textures with pixel masks", _MVTEC_TERMS,
        "the MVTec Anomaly Detection page of MVTec Software (mvtec.com, Research & Teaching, Datasets)",
        "the whole dataset or single categories (mvtec_anomaly_detection.tar.xz), unpacked", _MVTEC,
        categories=("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut",
                    "pill", "screw", "tile", "toothbrush", "transistor", "wood", "zipper"),
    ),
    Dataset(
        "mvtec-loco", "5 products with structural and logical anomalies", _MVTEC_TERMS,
        "the MVTec LOCO AD page of MVTec Software (mvtec.com, Research & Teaching, Datasets)",
        "mvtec_loco_anomaly_detection.tar.xz, unpacked", _MVTEC,
        categories=("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"),
    ),
    Dataset(
        "mvtec-3d-ad", "10 objects, of which the colour images are used", _MVTEC_TERMS,
        "the MVTec 3D-AD page of MVTec Software (mvtec.com, Research & Teaching, Datasets)",
        "mvtec_3d_anomaly_detection.tar.xz, unpacked", (products.MVTEC_3D,),
        categories=("bagel", "cable_gland", "carrot", "cookie", "dowel", "foam", "peach", "potato",
                    "rope", "tire"),
    ),
    Dataset(
        "visa", "12 products, boards and foods, one or many objects an image, with masks", "CC BY 4.0",
        "the repository amazon-science/spot-diff on GitHub",
        "VisA_20220922.tar, unpacked", (products.VISA, *_MVTEC),
        categories=("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pcb1",
                    "pcb2", "pcb3", "pcb4", "pipe_fryum"),
    ),
    Dataset(
        "btad", "3 industrial products with body and surface defects", _UNSTATED,
        "the beanTech page of the AViReS lab, University of Udine",
        "btad.zip, unpacked", _MVTEC, categories=("01", "02", "03"),
    ),
    Dataset(
        "mpdd", "6 kinds of painted metal parts in varied poses", _UNSTATED,
        "the repository stepanje/MPDD on GitHub", "the MPDD archive, unpacked", _MVTEC,
        categories=("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes"),
    ),
    Dataset(
        "magnetic-tile", "surfaces of magnetic tiles under six exposures, five defects with masks", _UNSTATED,
        "the repository abin24/Magnetic-tile-defect-datasets. on GitHub",
        "the repository's files (folders MT_Free, MT_Blowhole, …)",
        (surfaces.MAGNETIC_TILE, folders.CATEGORY),
    ),
    Dataset(
        "kolektor-sdd", "surfaces of 50 electrical commutators with fine cracks and masks", "CC BY-NC-SA 4.0",
        "the KolektorSDD page of the Visual Cognitive Systems Laboratory (vicos.si, Resources)",
        "KolektorSDD.zip, unpacked", (surfaces.KOLEKTOR,),
    ),
    Dataset(
        "deeppcb", "printed circuit boards: each tested board with its defect-free template", "MIT",
        "the repository tangsanli5201/DeepPCB on GitHub", "the repository's folder PCBData",
        (products.DEEPPCB,),
    ),
    Dataset(
        "dagm", "10 generated textures with defects marked by ellipses", "as stated on its page",
        "the DAGM 2007 page of the Heidelberg Collaboratory for Image Processing (hci.iwr.uni-heidelberg.de)",
        "the archives Class1 to Class10, unpacked beside each other", (surfaces.DAGM,),
    ),
    Dataset(
        "metu-cracks", "concrete walls without and with cracks, 40,000 patches", "CC BY 4.0",
        "Mendeley Data, 'Concrete Crack Images for Classification' by C. F. Özgenel",
        "the archive with the folders Negative and Positive, unpacked", (surfaces.METU, folders.CATEGORY),
    ),
    Dataset(
        "crackforest", "road photographs with marked cracks, judged by tiles", "non-commercial research",
        "the repository cuilimeng/CrackForest-dataset on GitHub", "the folders image and groundTruth",
        (surfaces.CRACKFOREST,),
    ),
    Dataset(
        "malaria", "segmented red blood cells, uninfected and parasitized", "public (US National Library "
        "of Medicine)",
        "the malaria datasheet page of the US National Library of Medicine (lhncbc.nlm.nih.gov)",
        "cell_images.zip, unpacked", (surfaces.MALARIA, npz_arrays.NPZ),
    ),
    Dataset(
        "brain-mri", "brain MRI slices without and with tumour", "none stated",
        "Kaggle, 'Brain MRI Images for Brain Tumor Detection' by N. Chakrabarty",
        "the archive with the folders no and yes, unpacked", (surfaces.BRAIN_MRI, folders.CATEGORY),
    ),
    Dataset(
        "mnist", "handwritten digits, 28 x 28 grey", "CC BY-SA 3.0 (as widely stated)",
        "the MNIST page of Y. LeCun, C. Cortes and C. J. C. Burges",
        "the four files *-ubyte.gz", (idx_files.idx_form(idx_files.DIGITS), npz_arrays.NPZ), "one-vs-rest",
        downloads=(
            _mnist("train-images-idx3", 9912422,
                   "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            _mnist("train-labels-idx1", 28881,
                   "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            _mnist("t10k-images-idx3", 1648877,
                   "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            _mnist("t10k-labels-idx1", 4542,
                   "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
    ),
    Dataset(
        "fashion-mnist", "clothes of ten kinds, 28 x 28 grey", "MIT",
        "the repository zalandoresearch/fashion-mnist on GitHub", "the four files data/fashion/*-ubyte.gz",
        (idx_files.idx_form(idx_files.CLOTHES), npz_arrays.NPZ), "one-vs-rest",
        places=(Path("/usr/share/datasets/fashion-mnist"),), package="apt install dataset-fashion-mnist",
    ),
    Dataset(
        "cifar-10", "small colour photographs of ten kinds", _UNSTATED,
        "the CIFAR page of A. Krizhevsky (University of Toronto)",
        "cifar-10-binary.tar.gz (the binary version; it need not be unpacked)",
        (cifar_binary.CIFAR_10, npz_arrays.NPZ), "one-vs-rest",
        downloads=(Download(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170052171,
        ),),
    ),
    Dataset(
        "cifar-100", "small colour photographs, by their 20 coarse classes", _UNSTATED,
        "the CIFAR page of A. Krizhevsky (University of Toronto)",
        "cifar-100-binary.tar.gz (the binary version; it need not be unpacked)",
        (cifar_binary.CIFAR_100, npz_arrays.NPZ), "one-vs-rest", downloads=(_CIFAR_100,),
    ),
    Dataset(
        "cifar-100-fine", "small colour photographs, by their 100 fine classes", _UNSTATED,
        "the CIFAR page of A. Krizhevsky (University of Toronto)",
        "cifar-100-binary.tar.gz (the binary version; it need not be unpacked)",
        (cifar_binary.CIFAR_100_FINE,), "one-vs-rest", downloads=(_CIFAR_100,),
    ),
    Dataset(
        "svhn", "house numbers, cropped digits, 32 x 32 colour", "non-commercial research",
        "the Street View House Numbers page of Stanford University",
        "train_32x32.mat and test_32x32.mat", (house_numbers.SVHN, npz_arrays.NPZ), "one-vs-rest",
        downloads=(
            Download("http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
                     "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8", 182040794),
            Download("http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
                     "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b", 64275384),
        ),
    ),
    Dataset(
        "dtd", "describable textures of 47 kinds", "research use",
        "the Describable Textures page of the Visual Geometry Group (University of Oxford)",
        "dtd-r1.0.1.tar.gz, unpacked (folders images and labels)", (textures.TEXTURES, npz_arrays.NPZ),
        "one-vs-rest",
    ),
    Dataset(
        "places365", "photographs of 365 kinds of places", "research and education, as its page says",
        "the Places page of the MIT Computer Science and Artificial Intelligence Laboratory",
        "val_256.tar unpacked, with places365_val.txt and categories_places365.txt beside it; or the easy "
        "directory structure (train/<class>, val/<class>)",
        (places.PLACES, folders.CLASS_PARTS), "one-vs-rest",
    ),
    Dataset(
        "fer2013", "faces of seven expressions, 48 x 48 grey", "as stated on its page",
        "Kaggle, 'Challenges in Representation Learning: Facial Expression Recognition Challenge'",
        "fer2013.csv (or icml_face_data.csv)", (fer2013_table.FER2013, npz_arrays.NPZ), "one-vs-rest",
    ),
    Dataset(
        "ucsd-ped2", "a walkway under a fixed camera: cyclists and carts are abnormal", "research use",
        "the Anomaly Detection Dataset page of the Statistical Visual Computing Lab, UC San Diego",
        "the UCSD archive, unpacked (folder UCSDped2)", (walkway_clips.WALKWAY, tar_archives.CLIP_TARS),
    ),
)}
# fmt: on

ALIASES: Final = {
    "mvtec": "mvtec-ad",
    "mvtec-anomaly-detection": "mvtec-ad",
    "mvtec-loco-ad": "mvtec-loco",
    "loco": "mvtec-loco",
    "mvtec-3d": "mvtec-3d-ad",
    "magnetic-tiles": "magnetic-tile",
    "kolektorsdd": "kolektor-sdd",
    "deep-pcb": "deeppcb",
    "concrete-cracks": "metu-cracks",
    "metu": "metu-cracks",
    "malaria-cells": "malaria",
    "fashionmnist": "fashion-mnist",
    "cifar10": "cifar-10",
    "cifar100": "cifar-100",
    "textures": "dtd",
    "places": "places365",
    "places-365": "places365",
    "fer-2013": "fer2013",
    "ped2": "ucsd-ped2",
}

SPECIFIC_FORMS: Final = (
    products.DEEPPCB,
    products.VISA,
    products.MVTEC_3D,
    surfaces.MAGNETIC_TILE,
    surfaces.KOLEKTOR,
    surfaces.DAGM,
    surfaces.CRACKFOREST,
    surfaces.METU,
    surfaces.MALARIA,
    surfaces.BRAIN_MRI,
    house_numbers.SVHN,
    fer2013_table.FER2013,
    walkway_clips.WALKWAY,
    tar_archives.CLIP_TARS,
    cifar_binary.CIFAR_10,
    cifar_binary.CIFAR_100,
    cifar_binary.CIFAR_100_FINE,
    textures.TEXTURES,
    places.PLACES,
)
"""Layouts that only one dataset has, so that its folder is recognised whatever it is called."""

AMBIGUOUS_FORMS: Final = (surfaces.METU, surfaces.MALARIA, surfaces.BRAIN_MRI)
"""Specific only below a dataset's name: any two folders may be called yes and no."""


def canonical(name: str) -> str | None:
    """The name under which a dataset is known here, or None."""
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    plain = ALIASES.get(plain, plain)
    return plain if plain in DATASETS else None
