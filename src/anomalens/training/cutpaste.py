"""Which images were pasted into: a classifier, and a Gaussian on the features that it learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.training.learner import Learner, alone
from anomalens.training.pasting import cut_paste, scar
from anomalens.training.residual import ResidualFeatures

CHANGES = {"cutpaste": cut_paste, "scar": scar}


class PasteClassifier(nn.Module):
    """float32 [n, 3, h, w] → features [n, d]; trained to tell normal images from changed ones.

    Parameters
    ----------
    changes : sequence of "cutpaste" and "scar"
        Each is a class of its own beside the normal images: with both, the paper's 3-way classifier.
    """

    def __init__(self, changes: tuple[str, ...], *, width: int, blocks: int) -> None:
        super().__init__()
        self.changes = changes
        self.features = ResidualFeatures(width=width, strides=(2,) * blocks)
        d = self.features.dimensions
        # the density is taken before this part, which keeps only what tells the classes apart
        self.head = nn.Sequential(
            nn.Linear(d, d, bias=False), nn.BatchNorm1d(d), nn.ReLU(), nn.Linear(d, 1 + len(changes))
        )

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.features(images)
        return features

    def learner(self) -> Learner:
        """Lower the mean cross-entropy of each image and its changed copies."""

        def loss(batch: Tensor) -> Tensor:
            copies = torch.cat([batch, *(CHANGES[change](batch) for change in self.changes)])
            answers = self.head(self.features(copies)).float()
            wanted = torch.arange(1 + len(self.changes), device=batch.device).repeat_interleave(len(batch))
            return F.cross_entropy(answers, wanted, reduction="none").view(-1, len(batch)).mean(0)

        return alone(self, loss)


class PasteScorer(nn.Module):
    """Image → [1, 1]: minus the log-density of its features."""

    def __init__(self, classifier: PasteClassifier, density: nn.Module) -> None:
        super().__init__()
        self.features = classifier.features
        self.density = density

    def forward(self, images: Tensor) -> Tensor:
        unusual: Tensor = self.density(self.features(images))
        return unusual[:, None]
