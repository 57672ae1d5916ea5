"""Networks that tell classes apart: image → logits and features, from scratch or tuned from a backbone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.backbones.registry import load_backbone
from anomalens.training.classifier.graph_module import GraphModule
from anomalens.training.recipe import Recipe
from anomalens.training.residual import ResidualBlock


class ClassNetwork(nn.Module):
    """Image [n, 3, h, w], 0–1 → logits [n, c] and features [n, d], which the last layer sees.

    Parameters
    ----------
    body : Module
        Image → features; its `dimensions` say how many.
    classes : int
    side : int
        Images are resized to this side first; 0 keeps them.
    """

    def __init__(self, body: nn.Module, classes: int, *, side: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.body, self.side = body, side
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(int(body.dimensions), classes)
        self.turn = nn.Linear(int(body.dimensions), 4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(images)
        return self.last(features), features

    def features(self, images: Tensor) -> Tensor:
        """[n, d]"""
        if self.side and tuple(images.shape[2:]) != (self.side, self.side):
            images = F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False)
        found: Tensor = self.body(images)
        return found


class PlainCnn(nn.Sequential):
    """Convolutions with ReLU and pooling, and a dense layer: what tutorials train on CIFAR-10."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        before = 3
        for channels in (width, 2 * width, 4 * width):
            layers += [
                nn.Conv2d(before, channels, 3, 1, 1), nn.BatchNorm2d(channels), nn.ReLU(),
                nn.Conv2d(channels, channels, 3, 1, 1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2),
            ]  # fmt: skip
            before = channels
        self.dimensions = 4 * width
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(4 * width, self.dimensions), nn.ReLU(),
        )  # fmt: skip


class SmallResidual(nn.Sequential):
    """A wide residual network of three groups (Zagoruyko & Komodakis 2016) that keeps small images large."""

    def __init__(self, width: int, depth: int = 2) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False)]
        before = width
        for level in range(3):
            for block in range(depth):
                channels = width * 2**level
                layers.append(ResidualBlock(before, channels, 2 if level and not block else 1))
                before = channels
        super().__init__(*layers, nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dimensions = before


class TunedBackbone(nn.Module):
    """A packaged backbone's deepest layer, averaged; all of its weights move, or those of its last third."""

    def __init__(self, name: str, *, all_blocks: bool) -> None:
        super().__init__()
        backbone = load_backbone(name)
        card = backbone.card
        deepest = max(card.taps, key=lambda tap: tap.stride)
        self.graph = GraphModule(backbone.graph([deepest.name]))
        if not all_blocks:
            weights = list(self.graph.parameters())
            for weight in weights[: 2 * len(weights) // 3]:
                weight.requires_grad_(False)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())
        self.dimensions = deepest.channels

    def forward(self, images: Tensor) -> Tensor:
        (maps,) = self.graph((255 * images - self.mean) / self.std)
        found: Tensor = maps.mean((2, 3))
        return found


def network_for(settings: Recipe, classes: int) -> ClassNetwork:
    """The network that the settings ask for."""
    if settings.train == "cnn":
        return ClassNetwork(PlainCnn(settings.width), classes, side=settings.side)
    if settings.train == "residual":
        return ClassNetwork(SmallResidual(settings.width), classes, side=settings.side)
    body = TunedBackbone(settings.backbone, all_blocks=settings.train == "tune-all")
    return ClassNetwork(body, classes, side=settings.side, dropout=0.2)


def moved(network: nn.Module) -> Iterator[nn.Parameter]:
    """The weights that training moves."""
    return (weight for weight in network.parameters() if weight.requires_grad)
