"""A trained network behind the classifier's seam: a small graph stands in for a training's result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.checks import TexturedImages
from anomalens.detectors.classifier.network import network_from_state
from anomalens.detectors.classifier.outputs import LastLayer
from anomalens.detectors.classifier.settings import ClassifierSettings
from anomalens.detectors.classifier.trained import trained_network
from anomalens.errors import SettingError
from anomalens.job import Job

SIZE = (32, 48)
LAST = LastLayer(np.array([[5, 0, 0], [0, 5, 0]], np.float32), np.array([0.5, 0], np.float32))


@dataclass(frozen=True)
class MeanColours:
    """A training's result: the mean of each channel, and a layer on it."""

    weight: Any = field(default_factory=lambda: LAST.weight)
    bias: Any = field(default_factory=lambda: LAST.bias)
    held_out: Any = field(default_factory=lambda: np.array([1, 4]))
    notes: tuple[str, ...] = ("made by hand",)
    curves: Any = field(default_factory=lambda: {"loss": [1.0, 0.5]})

    @property
    def graph(self) -> bytes:
        nodes = [
            helper.make_node("ReduceMean", ["image"], ["features"], axes=[2, 3], keepdims=0),
            helper.make_node("Gemm", ["features", "weight", "bias"], ["logits"], transB=1),
        ]
        values = [numpy_helper.from_array(LAST.weight, "weight"), numpy_helper.from_array(LAST.bias, "bias")]
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *SIZE])
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n])
            for name, n in (("logits", 2), ("features", 3))
        ]
        graph = helper.make_graph(nodes, "mean", [image], outputs, values)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(made)
        return made.SerializeToString()


def test_a_trained_network_judges_what_it_held_out_and_its_state_rebuilds_it():
    images = TexturedImages.make(6, SIZE, seed=0)
    labels, asked = np.array([0, 1] * 3), []

    def train(*given: Any) -> MeanColours:
        asked.append(given[2])
        return MeanColours()

    settings = ClassifierSettings(train="cnn")
    found = trained_network(settings, images, labels, ("a", "b"), Job(Runtime(), 0), train=train)
    assert asked == [("a", "b")]
    (judged,) = found.judged
    assert judged.rows.tolist() == [1, 4] and len(found.outputs.logits) == 4
    assert np.array_equal(found.labels, labels[[0, 2, 3, 5]])
    assert (found.notes, found.curves) == (("made by hand",), {"loss": [1.0, 0.5]})
    one = found.network(images.pixels[1])
    assert np.allclose(one.features, images.pixels[1].mean((0, 1)) / 255, atol=1e-5)
    assert np.allclose(one.logits, LAST.logits(one.features), atol=1e-5)
    again = network_from_state(found.network.state(), size=SIZE, runtime=Runtime())
    assert np.array_equal(again(images.pixels[1]).logits, one.logits)


def test_an_unknown_training_is_named():
    with pytest.raises(SettingError, match="no-such"):
        ClassifierSettings(train="no-such")
