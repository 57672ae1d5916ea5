"""fastflow, simplenet and student-teacher: the contract, their formulas, one graph, errors, real images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.joining import joined  # noqa: E402
from anomalens.backbones.runtimes import Runtime, open_session  # noqa: E402
from anomalens.detectors import Batch, load_detector  # noqa: E402
from anomalens.detectors.checks import TexturedImages, painted, yield_checks  # noqa: E402
from anomalens.errors import AnomalensError  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.channel_scale import ChannelScale  # noqa: E402
from anomalens.training.coupling import Convolutions, Coupling, Flow, Layers  # noqa: E402
from anomalens.training.embedding import Embedding  # noqa: E402
from anomalens.training.export import inputs_to_onnx  # noqa: E402
from anomalens.training.features import Examples, HeldFeatures  # noqa: E402
from anomalens.training.highest import image_score  # noqa: E402
from anomalens.training.simplenet import SimpleNetwork, discriminator_learner  # noqa: E402
from anomalens.training.student_teacher import DifferenceScorer, StudentTeacher, student_learner  # noqa: E402

SIZE = (64, 96)
NAMES = ("fastflow", "simplenet", "student-teacher")
TINY: dict[str, dict[str, str]] = {
    "fastflow": {"epochs": "1", "batch_size": "4", "steps": "2", "hidden": "0.2", "top_share": "0"},
    "simplenet": {"epochs": "2", "batch_size": "4", "hidden": "8"},
    "student-teacher": {"epochs": "2", "batch_size": "4", "width": "4", "latent": "4", "hard": "1"},
}


def detector(name: str, **parameters: str) -> Any:
    kind = load_detector(name)
    return kind(kind.settings_type.from_texts({**TINY[name], **parameters}))


def held_features(*shapes: tuple[int, ...], n: int = 6) -> HeldFeatures:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (n, *SIZE, 3), dtype=np.uint8)
    features = [(3 * rng.standard_normal((n, *shape)) + 5).astype(np.float16) for shape in shapes]
    return HeldFeatures(pixels, features, identity=b"", scaling=((127.0,) * 3, (128.0,) * 3))


def every_check() -> Iterator[Any]:
    for name in NAMES:
        made = detector(name)
        for check in yield_checks(type(made), settings=made.settings):
            yield pytest.param(check, id=f"{name}-{check}")


@pytest.mark.parametrize("check", list(every_check()))
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def test_the_image_score_is_the_maximum_or_the_mean_of_the_highest() -> None:
    maps = torch.arange(200.0).reshape(1, 10, 20)
    assert image_score(maps, 0.0).tolist() == [[199.0]]
    assert image_score(maps, 0.02).tolist() == [[197.5]]


@pytest.mark.parametrize("name", NAMES)
def test_one_graph_leads_from_the_image_to_the_map(name: str) -> None:
    fitted = detector(name, taps="stride8")
    fitted.fit(TexturedImages.make(8, SIZE, seed=0), Job(Runtime()))
    (graph,) = fitted.state().graphs.values()
    session = open_session(graph, runtime=Runtime(), input_size=SIZE)
    values, maps = session.run(np.zeros((1, 3, *SIZE), np.float32))
    assert values.shape == (1, 1) and maps.shape == (1, *SIZE)
    highest = np.sort(maps, axis=None)[::-1][: 1 if name == "fastflow" else round(0.01 * maps.size)]
    assert values[0, 0] == pytest.approx(highest.mean(), rel=1e-4)
    assert fitted.state().numbers["backbone"]["name"] == "efficientnet-lite0"


@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss_and_finds_what_nothing_should_miss(name: str) -> None:
    fitted = detector(name, epochs="6", patience="0")
    fitted.fit(TexturedImages.make(10, SIZE, seed=0), Job(Runtime()))
    losses = fitted.curves["training loss"]
    assert len(losses) == 6 and losses[-1] < losses[0]
    fresh = list(TexturedImages.make(4, SIZE, seed=1))
    defect, _ = painted(fresh[0])
    scores = fitted.score(Batch([*fresh, defect], [str(k) for k in range(5)])).image
    assert scores[4] > scores[:4].max()


def test_joined_graphs_may_read_the_image_beside_the_features() -> None:
    class First(torch.nn.Module):
        def forward(self, image: Any) -> Any:
            return 2 * image

    class Second(torch.nn.Module):
        def forward(self, doubled: Any, image: Any) -> Any:
            return doubled - 3 * image

    image = torch.rand(1, 3, 4, 6)
    first = inputs_to_onnx(First(), {"image": image}, outputs=["doubled"])
    second = inputs_to_onnx(Second(), {"doubled": 2 * image, "image": image}, outputs=["rest"])
    graph = joined(first, second, [("rest", (1, 3, 4, 6))])
    assert [value.name for value in onnx.load_from_string(graph).graph.output] == ["learnt/rest"]
    (rest,) = open_session(graph, runtime=Runtime(), input_size=(4, 6)).run(image.numpy())
    np.testing.assert_allclose(rest, -image.numpy(), rtol=1e-6)
    older = inputs_to_onnx(First(), {"image": image}, outputs=["doubled"], opset=13)
    with pytest.raises(ValueError, match="opsets 13 and 17"):
        joined(older, second, [("rest", (1, 3, 4, 6))])


@pytest.mark.parametrize("kind", ["maps", "vectors"])
def test_the_density_of_a_flow_is_that_of_its_formula(kind: str) -> None:
    """log p(x) = log N(f(x)) + log |det ∂f/∂x|, the determinant by automatic differentiation."""
    torch.manual_seed(0)
    shape = (6, 2, 3) if kind == "maps" else (6,)

    def subnet(a: int, b: int) -> Any:
        return Convolutions(a, b, hidden=5, side=3) if kind == "maps" else Layers(a, b, hidden=5)

    couplings = [Coupling(6, subnet) for _ in range(3)]
    flow = Flow(6, couplings).double()
    for weight in flow.parameters():  # the last layers begin at zero
        torch.nn.init.normal_(weight, std=0.3)
    x = torch.randn(1, *shape, dtype=torch.float64)

    def transformed(flat: Any) -> Any:
        y = flat.reshape(1, *shape)
        for coupling in couplings:
            y = coupling(y)[0]
        return y.flatten()

    _, log_det = torch.linalg.slogdet(torch.autograd.functional.jacobian(transformed, x.flatten()))
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(transformed(x.flatten())).sum()
    assert 6 * flow(x).sum().item() == pytest.approx((-normal - log_det).item())


def test_channels_are_scaled_over_the_training_rows_only() -> None:
    held = held_features((4, 5, 7))
    features, rows = held.features[0], np.array([0, 2, 3])
    x = torch.from_numpy(features[rows].astype(np.float32))
    scaled = ChannelScale(features, rows)(x)
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std((0, 2, 3), correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_simplenet_loss_is_that_of_the_paper() -> None:
    held = held_features((3, 4, 6), (5, 2, 3))
    network = SimpleNetwork(Embedding(held.features, np.arange(4), neighbourhood=3), 8).eval()
    batch = held.tensor(np.array([4, 5]))
    assert network.embedding(*batch.features).shape == (2, 8, 4, 6)
    learner = discriminator_learner(network, noise=0.3)
    torch.manual_seed(7)
    loss = learner.validation(batch)
    torch.manual_seed(7)
    features = network.embedding(*batch.features)
    noised = features + 0.3 * torch.randn_like(features)
    normal, strange = (network.discriminator(value)[:, 0] for value in (features, noised))
    wanted = (0.5 + normal).clamp(min=0) + (0.5 - strange).clamp(min=0)
    torch.testing.assert_close(loss, wanted.mean((1, 2)))
    # the features themselves are never trained
    assert not {id(w) for w in network.embedding.parameters()} & {id(w) for w in learner.players[0].weights}


def test_student_learns_from_the_hardest_and_its_maps_share_a_scale() -> None:
    held = held_features((2, 16, 24), (3, 8, 12), (5, 4, 6))
    network = StudentTeacher(held, np.arange(4), width=4, latent=3).eval()
    batch = held.tensor(np.array([0, 1]))
    wanted, local, imitated, whole = network.predictions(batch.features)
    assert wanted.shape == local.shape == imitated.shape == whole.shape == (2, 8, 8, 12)
    differences = ((wanted - local) ** 2).flatten().sort(descending=True).values
    kept = round(0.25 * len(differences))
    expected = differences[:kept].mean() + ((wanted - whole) ** 2).mean() + ((whole - imitated) ** 2).mean()
    learner = student_learner(network, hard=0.25)
    torch.testing.assert_close(learner.players[0].loss(batch), expected)
    scorer = DifferenceScorer(network, SIZE, sigma=2.0, top_share=0.0)
    rows = np.array([2, 3, 4, 5])
    scorer.learn_limits(held, rows)
    maps = torch.cat([scorer.maps(held.tensor(rows[k : k + 1]).features) for k in range(4)], 1)
    for kind in range(2):
        low, high = scorer.limits[kind]
        assert float((maps[kind] <= low).float().mean()) == pytest.approx(0.9, abs=0.01)
        assert float((maps[kind] <= high).float().mean()) == pytest.approx(0.995, abs=0.01)


def test_features_are_read_once_and_batches_hold_them() -> None:
    calls = []

    def network(image: Any) -> Any:
        calls.append(1)
        return [image[:2, :2].transpose(2, 0, 1).astype(np.float32), np.full((1, 1, 1), 1e9, np.float32)]

    held = held_features(n=5)
    read = HeldFeatures.read(held, network, identity=b"a", scaling=((1.0,) * 3, (2.0,) * 3), progress=quiet)
    batches = list(read.batches(np.arange(5), 2))
    assert len(calls) == 5 and [len(batch.features[0]) for batch in batches] == [2, 2, 1]
    assert batches[0].features[1].max() == np.finfo(np.float16).max  # cut and not infinite
    scaled = read.scaled(np.array([1]))
    np.testing.assert_allclose(scaled[0, 2, 3, 4], (float(held.pixels[1, 3, 4, 2]) - 1) / 2)
    shuffled = list(read.batches(np.arange(5), 2, order=np.random.default_rng(0)))
    assert [len(batch.features[0]) for batch in shuffled] == [2, 2]  # one image joins no statistics
    assert isinstance(shuffled[0], Examples)
    other = HeldFeatures(held.pixels, [], identity=b"b", scaling=((1.0,) * 3, (2.0,) * 3))
    assert read.hash() != other.hash()


def quiet(steps: Any, *, label: str, total: int | None = None) -> Any:
    return steps


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("fastflow", {"augment": "flip"}, "fit with --augment"),
        ("fastflow", {"taps": "stride9"}, "stride8"),
        ("simplenet", {"noise": "0"}, "noise"),
        ("simplenet", {"neighbourhood": "2"}, "odd"),
        ("student-teacher", {"hard": "2"}, "hard"),
        ("student-teacher", {"source": "stride8", "taps": "stride8"}, "both seen and predicted"),
        ("student-teacher", {"source": "stride44"}, "stride4"),
    ],
)
def test_bad_parameters_are_refused_with_a_sentence(
    name: str, parameters: dict[str, str], words: str
) -> None:
    with pytest.raises(AnomalensError, match=words):
        detector(name, **parameters).fit(TexturedImages.make(4, SIZE, seed=0), Job(Runtime()))


@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_answers_as_the_model_that_wrote_it(
    name: str, real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_set("paper_piped") / "fvn01_tl"
    made = detector(name)
    fitted = Inspector.fit(
        str(folder / "train" / "good"),
        detector=name,
        parameters=made.settings.to_plain(),
        size=64,
        runtime="onnxruntime",
        threads=1,
    )
    loaded = Inspector.load(fitted.save(tmp_path / "paper.anomalens"))
    test = sorted((folder / "test" / "impurity").iterdir())[:3]
    for one, other in zip(fitted.check(test), loaded.check(test), strict=True):
        assert one.score == other.score
        np.testing.assert_array_equal(one.map, other.map)
