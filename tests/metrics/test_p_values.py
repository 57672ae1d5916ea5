"""p-values of normal images against the uniform distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, kstest

from anomalens.errors import InputError
from anomalens.metrics.p_values import RATES, PValueAudit


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    p = np.random.default_rng(0).uniform(size=57) ** 1.3
    audit = PValueAudit.of(p.tolist(), 80)
    assert audit.distance == pytest.approx(kstest(p, "uniform").statistic, abs=1e-12)
    assert audit.limit == pytest.approx(1.36 * (1 / 57 + 1 / 80) ** 0.5)


def test_rates_have_exact_intervals() -> None:
    p = [*np.linspace(0.001, 0.009, 9), *np.linspace(0.2, 1, 91)]
    audit = PValueAudit.of(p, 100)
    assert [asked for asked, _ in audit.rates] == list(RATES) == [0.01, 0.02, 0.05, 0.1]
    for _, rate in audit.rates:
        assert (rate.count, rate.total) == (9, 100)
        assert rate.low == pytest.approx(beta.ppf(0.025, 9, 92))
        assert rate.high == pytest.approx(beta.ppf(0.975, 10, 91))


def test_p_values_that_are_too_small_are_told() -> None:
    uniform = np.linspace(0.005, 1, 200)
    assert "uniform as far as" in PValueAudit.of(uniform.tolist(), 200).sentence
    assert "not uniform" in PValueAudit.of((uniform**3).tolist(), 200).sentence


@pytest.mark.parametrize(("p", "n"), [([], 5), ([0.5], 0), ([1.5], 5), ([float("nan")], 5)])
def test_what_is_no_p_value_is_refused(p: list[float], n: int) -> None:
    with pytest.raises(InputError, match="An audit was given"):
        PValueAudit.of(p, n)
