"""Labels that a classifier doubts: the order by hand, and flipped labels of real images."""

from __future__ import annotations

import numpy as np
import pytest

from anomalens.errors import InputError
from anomalens.metrics.label_doubts import label_doubts


def test_the_order_by_hand():
    shares = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9], [0.1, 0.6, 0.3]]
    found = label_doubts([0, 0, 0, 2], shares)
    assert found.rows.tolist() == [2, 1, 3, 0]
    assert found.suggested.tolist() == [2, 1, 1, 1]
    np.testing.assert_allclose(found.doubt[1:], np.log([6, 2, 2 / 7]))
    assert np.isfinite(found.doubt).all() and found.doubt[0] > 20


def test_equal_doubts_keep_the_order_of_the_images():
    assert label_doubts([0] * 5, [[0.5, 0.5]] * 5).rows.tolist() == [0, 1, 2, 3, 4]


def test_bad_input():
    with pytest.raises(InputError, match="2 rows of probabilities and 3 labels"):
        label_doubts([0, 1, 0], [[0.5, 0.5]] * 2)
    with pytest.raises(InputError, match="there are 2 classes"):
        label_doubts([0, 2], [[0.5, 0.5]] * 2)
    with pytest.raises(InputError, match="do not add up to 1"):
        label_doubts([0, 1], [[3.0, 0.5]] * 2)
    with pytest.raises(InputError, match="at least two classes"):
        label_doubts([0, 0], [[1.0]] * 2)


def test_flipped_labels_of_real_digits(real_set):
    """Of 400 digits 20 labels are flipped; with small pictures as features most come first."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    with np.load(next(real_set("mnist").glob("*.npz"))) as file:
        x, true = file["x_train"][:400, ::2, ::2].reshape(400, -1) / 255, file["y_train"][:400].astype(int)
    rng = np.random.default_rng(0)
    flipped = rng.permutation(400)[:20]
    given = true.copy()
    given[flipped] = (given[flipped] + rng.integers(1, 10, 20)) % 10
    shares = cross_val_predict(LogisticRegression(C=1, max_iter=500), x, given, cv=5, method="predict_proba")
    found = label_doubts(given, shares)
    first = found.rows[:20]
    assert np.isin(first, flipped).mean() >= 0.6
    hits = np.isin(first, flipped)
    assert np.mean(found.suggested[:20][hits] == true[first][hits]) >= 0.8
