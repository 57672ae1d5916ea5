"""Which way was this image turned and shifted? A classifier, and how well it knows as a score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.training.learner import Learner, alone
from anomalens.training.residual import ResidualFeatures
from anomalens.training.views import CHOICES, Square, shifted, shifted_each, turned, views_of

_LEAST_LOG: Final = -15.0  # log-probabilities are cut here: a single 0 must not decide a Dirichlet's fit


class ViewClassifier(nn.Module):
    """Changed images [n, 3, s, s] → log-probabilities by head and features [n, d]."""

    def __init__(self, heads: tuple[str, ...], size: tuple[int, int], *, side: int, width: int) -> None:
        super().__init__()
        self.names = heads
        self.square = Square(size, side)
        self.features = ResidualFeatures(width=width, strides=(1, 2, 2))
        self.heads = nn.ModuleDict(
            {name: nn.Linear(self.features.dimensions, CHOICES[name]) for name in heads}
        )

    def forward(self, changed: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        features = self.features(changed)
        return {name: F.log_softmax(head(features), 1) for name, head in self.heads.items()}, features

    def learner(self) -> Learner:
        """Lower the cross-entropy, summed over heads, of every turn of every image, shifted at random."""

        def loss(batch: Tensor) -> Tensor:
            seen = self.square(batch)
            n = len(seen)
            views = views_of(tuple(name for name in self.names if name in ("turn", "mirror")))
            copies = torch.cat([turned(seen, view.turn, view.mirror) for view in views])
            wanted = {
                "turn": torch.tensor([view.turn for view in views], device=batch.device),
                "mirror": torch.tensor([view.mirror for view in views], device=batch.device),
            }
            wanted = {name: values.repeat_interleave(n) for name, values in wanted.items()}
            if "down" in self.names:
                for name in ("down", "right"):
                    wanted[name] = torch.randint(3, (len(copies),), device=batch.device)
                copies = shifted_each(copies, wanted["down"], wanted["right"])
            known, _ = self(copies)
            total = sum(
                F.nll_loss(known[name].float(), wanted[name], reduction="none") for name in self.names
            )
            assert isinstance(total, Tensor)
            return total.view(len(views), n).mean(0)

        return alone(self, loss)


class Views(nn.Module):
    """One image [1, 3, h, w] → all its views through the classifier."""

    def __init__(self, classifier: ViewClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.views = views_of(classifier.names)

    def forward(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Log-probabilities [v, k] by head and features [v, d]."""
        seen = self.classifier.square(image)
        by_turn: dict[tuple[int, int], Tensor] = {}
        copies = []
        for view in self.views:
            key = (view.turn, view.mirror)
            if key not in by_turn:
                by_turn[key] = turned(seen, *key)
            copies.append(shifted(by_turn[key], view))
        known, features = self.classifier(torch.cat(copies))
        return known, features

    def choice(self, head: str) -> Tensor:
        """What is right for each view, int64 [v]."""
        return torch.tensor([getattr(view, head) for view in self.views])


class ViewScorer(nn.Module):
    """Image [1, 3, h, w] → [1, 1]: minus what the log-probabilities weigh, the mean over views.

    Parameters
    ----------
    weights : by head, float32 [k, k]
        Row: the right answer; column: the answer that is weighed. The identity counts the right one only; a
        Dirichlet normality score has its parameters less one there.
    """

    def __init__(self, views: Views, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.views = views
        self.used = tuple(weights)
        for head, matrix in weights.items():
            self.register_buffer(f"weights_{head}", matrix[views.choice(head)])

    def forward(self, image: Tensor) -> Tensor:
        known, _ = self.views(image)
        normality = [
            (getattr(self, f"weights_{head}") * known[head].clamp_min(_LEAST_LOG)).sum(1).mean()
            for head in self.used
        ]
        return -torch.stack(normality).sum().reshape(1, 1)


class FeatureScorer(nn.Module):
    """Image [1, 3, h, w] → [1, 1]: minus the log-density of the features, averaged over all views."""

    def __init__(self, views: Views, density: nn.Module) -> None:
        super().__init__()
        self.views = views
        self.density = density

    def forward(self, image: Tensor) -> Tensor:
        _, features = self.views(image)
        unusual: Tensor = self.density(features.mean(0, keepdim=True))
        return unusual[:, None]


def dirichlet(logs: Tensor, *, steps: int = 50) -> Tensor:
    """Parameters [k] of the Dirichlet distribution that probabilities most likely come from (Minka 2000).

    Parameters
    ----------
    logs : float [n, k]
        Logarithms of probabilities.
    """
    logs = logs.double().clamp_min(_LEAST_LOG)
    mean_logs, means = logs.mean(0), logs.exp().mean(0)
    k = logs.shape[1]
    # the start of Wicker et al. (2008), which Golan & El-Yaniv use
    gap = (means * (means.log() - mean_logs)).sum().clamp_min(1e-6)
    alpha = (means * (k - 1) / 2 / gap).clamp(1e-3, 1e4)
    for _ in range(steps):
        alpha = _inverse_digamma(torch.digamma(alpha.sum()) + mean_logs).clamp(1e-3, 1e4)
    return alpha.float()


def _inverse_digamma(values: Tensor) -> Tensor:
    x = torch.where(values > -2.22, values.exp() + 0.5, -1 / (values + 0.5772156649))
    for _ in range(5):
        x = x - (torch.digamma(x) - values) / torch.polygamma(1, x)
    return x


def answers(views: Views, images: Iterable[Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Log-probabilities [n, v, k] by head and mean features [n, d] of images [1, 3, h, w], one at a time."""
    views.eval()
    known: dict[str, list[Tensor]] = {head: [] for head in views.classifier.names}
    features = []
    for image in images:
        with torch.no_grad():
            logs, found = views(image)
        for head, values in logs.items():
            known[head].append(values)
        features.append(found.mean(0))
    return {head: torch.stack(values) for head, values in known.items()}, torch.stack(features)


def accuracy(logs: Tensor, choice: Tensor) -> float:
    """Share of right answers among log-probabilities [n, v, k]."""
    return float((logs.argmax(2) == choice).float().mean())


def dirichlet_weights(logs: Tensor, choice: Tensor) -> Tensor:
    """[k, k]: for every right answer the parameters, less one, of what was answered, from [n, v, k]."""
    rows = [dirichlet(logs[:, choice == right].flatten(0, 1)) - 1 for right in range(logs.shape[2])]
    return torch.stack(rows)
