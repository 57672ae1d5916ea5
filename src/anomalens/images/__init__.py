"""Folders, manifests and arrays of images; decoding; preprocessing; augmentation; duplicates."""

from anomalens.images.arrays import MAX_PIXELS, Pixels, as_pixels, split_stack
from anomalens.images.augment import Augmentation
from anomalens.images.dataset_folder import labelled_images, normal_images
from anomalens.images.decode import SUFFIXES, Picture, decode
from anomalens.images.duplicates import (
    Duplicates,
    Thumbnails,
    find_duplicates,
    group_images,
)
from anomalens.images.geometry import Affine, Prepared
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet
from anomalens.images.layout import Layout, recognise
from anomalens.images.prefetch import stream
from anomalens.images.preprocess import Preprocessing
from anomalens.images.steps import ApplyMask, Grey, RemoveBackground, Resize, Standardise

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Affine",
    "ApplyMask",
    "Augmentation",
    "Duplicates",
    "Grey",
    "ImageEntry",
    "ImageSet",
    "Layout",
    "Picture",
    "Pixels",
    "Prepared",
    "Preprocessing",
    "RemoveBackground",
    "Resize",
    "Standardise",
    "Thumbnails",
    "as_pixels",
    "decode",
    "find_duplicates",
    "group_images",
    "labelled_images",
    "normal_images",
    "recognise",
    "split_stack",
    "stream",
]
