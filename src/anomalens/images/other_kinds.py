"""Pictures that are known and not read here, with what to do: they count, and are not passed over."""

from __future__ import annotations

from typing import Final

_RAW: Final = (
    "it is a camera's raw file",
    "develop it to TIFF or PNG, for example with darktable or RawTherapee",
)
_DICOM: Final = ("it is a DICOM file", "export it as 16-bit PNG or TIFF, for example with dcm2img of DCMTK")
_NIFTI: Final = ("it is a NIfTI volume", "export the slices that matter as PNG or TIFF")
_HEIC: Final = ("it is a HEIC picture", "export it as JPEG or PNG, for example with heif-convert of libheif")
_JXL: Final = ("it is a JPEG XL picture", "export it as PNG, with djxl of libjxl")
_PDF: Final = ("it is a PDF document", "export its pages as PNG, for example with pdftoppm -png")
_LAYERS: Final = ("it is a file of layers", "export it as PNG")
_HDR: Final = (
    "it is a high-dynamic-range picture",
    "export it as 16-bit PNG or TIFF, with the exposure that matters",
)

_BY_SUFFIX: Final = {
    **dict.fromkeys((".heic", ".heif", ".hif"), _HEIC),
    ".jxl": _JXL,
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf",
         ".pef", ".srw", ".3fr", ".iiq", ".raw"), _RAW,
    ),
    **dict.fromkeys((".dcm", ".dicom"), _DICOM),
    ".nii": _NIFTI,
    ".psd": _LAYERS,
    ".xcf": _LAYERS,
    **dict.fromkeys((".exr", ".hdr"), _HDR),
}  # fmt: skip
SUFFIXES: Final = frozenset(_BY_SUFFIX)
"""Lower-case suffixes that are looked for in folders, as those that are read."""

_PAPER: Final = ".pdf"
_BRANDS: Final = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def is_known(name: str) -> bool:
    """Whether a file is called like a picture that is not read here."""
    lower = name.lower()
    return lower.endswith((*SUFFIXES, _PAPER, ".nii.gz"))


def problem(start: bytes, suffix: str) -> str | None:
    """What a file is and what to do, by its first 132 bytes and its lower-case suffix; None if unknown."""
    if start[4:8] == b"ftyp" and start[8:12] in _BRANDS:
        found = _HEIC
    elif start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        found = _JXL
    elif start.startswith(b"%PDF") or suffix == _PAPER:
        found = _PDF
    elif start[128:132] == b"DICM":
        found = _DICOM
    elif start.startswith(b"8BPS"):
        found = _LAYERS
    elif start.startswith((b"\x76\x2f\x31\x01", b"#?RADIANCE")):
        found = _HDR
    elif suffix == ".gz":
        found = _NIFTI
    elif suffix in _BY_SUFFIX:
        found = _BY_SUFFIX[suffix]
    else:
        return None
    return f"{found[0]}, which is not read here; {found[1]}."
