"""Corrections of cells on their controls: affine maps y = x A + c, one for all cells or one for each batch.

With m and s the mean and standard deviation of all controls, m_b and s_b those of a batch's, R and R_b the covariance
of controls standardised by them, and r the ridge:

| name | y | source |
|---|---|---|
| none | x | |
| centre, centre-batch | x - m;  x - m_b | |
| standardise, standardise-batch | (x - m) / s;  (x - m_b) / s_b | z-score on negative controls, Caicedo et al. 2017 |
| robust, robust-batch | the same with median and 1.4826 MAD | the same |
| sphere, sphere-batch | u (R + r I)^(-1/2), u standardised (by batch: s_b, R_b) | ZCA-cor, Kessy et al. 2018 |
| whiten | u V (L + r I)^(-1/2), R = V L V^T | PCA whitening: sphere, then turned onto the axes of R |
| tvn-whiten | q (Q_b + r I)^(-1/2) | TVN, Ando et al. 2017, as in EFAAR, Celik et al. 2024 |
| tvn-recolour | q (Q_b + r I)^(-1/2) (Q + r I)^(1/2) | TVN with CORAL, Sun et al. 2016, as scallops and brieflow do |

For TVN, q is p = u V (the controls' principal components), standardised on the controls of each batch; Q_b is the
covariance of q over a batch's controls, and Q over all. Before the ridge, both make each batch's controls alike to
second order: white, or of the covariance that controls have on the whole. Standardisation divides by n, covariances
by n - 1, as there. A whitening by PCA for each batch is not offered: its axes would mean something else in each.

What controls do not vary in is 0 after all but centring: features, and directions of less than 1e-10 of the largest
variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from contrascope.profiles.moments import Maps, Moments, Values

SPHERE_RIDGE = 0.01
"""Of sphere and whiten, in units of a standardised feature's variance: directions below it are not blown up."""
TVN_RIDGE = 0.5
"""EFAAR's, scallops' and brieflow's, in the same units."""
FEWEST = 10
"""Controls that a mean and a standard deviation take; a covariance takes more controls than features as well."""
MAD_TO_DEVIATION = 1.4826
"""Of a normal distribution."""
_NEGLIGIBLE = 1e-10
Step = Callable[[Moments], Maps]


@dataclass(frozen=True)
class Correction:
    """How cells are corrected.

    Attributes:
        steps: Maps made one after another, each from the moments that the ones before leave.
        by_batch: Whether every batch has a map of its own.
        covariance: Whether covariances are used, which takes more controls than features.
        ridge: Added to the variances before their root is taken; None where there is no covariance.
        robust: Whether medians are used, which sums do not tell.
    """

    steps: tuple[Callable[..., Maps], ...] = ()
    by_batch: bool = False
    covariance: bool = False
    ridge: float | None = None
    robust: bool = field(default=False)

    def maps(self, moments: Moments, *, ridge: float | None = None) -> Maps:
        """The maps of controls with these moments; M = 1 where no step tells batches apart."""
        width = moments.mean.shape[1]
        maps = Maps(np.eye(width)[None], np.zeros((1, width)))
        for step in self.steps:
            here = step(moments, ridge=self.ridge if ridge is None else ridge)
            moments, maps = moments.mapped(here), maps.then(here)
        return maps

    def fewest(self, features: int) -> int:
        """Controls needed: in each batch, or altogether."""
        return max(FEWEST, features + 1) if self.covariance else FEWEST


def _centring(moments: Moments, *, ridge: float | None, each: bool) -> Maps:
    of = moments if each else moments.pooled()
    return Maps(np.broadcast_to(np.eye(of.mean.shape[1]), of.scatter.shape), -of.mean)


def _standardising(moments: Moments, *, ridge: float | None, each: bool) -> Maps:
    everyone = moments.pooled()
    of = moments if each else everyone
    # Rounding of the mean, or of a map before, is no spread.
    least = np.maximum(_NEGLIGIBLE * np.abs(of.mean), _NEGLIGIBLE**0.5 * everyone.deviation())
    return scaling(of.mean, of.deviation(), least)


def scaling(centre: Values, spread: Values, least: Values) -> Maps:
    """(x - centre) / spread, (M, F) each; 0 where the spread is no more than ``least``."""
    varies = spread > least
    factor = np.where(varies, 1 / np.where(varies, spread, 1.0), 0.0)
    return Maps(factor[:, :, None] * np.eye(centre.shape[1]), -centre * factor)


def _rotating(moments: Moments, *, ridge: float | None) -> Maps:
    """Onto the principal components of all controls, the largest first; directions without variance are 0."""
    of = moments.pooled()
    variance, axes = np.linalg.eigh(of.covariance()[0])
    axes = axes[:, ::-1] * (variance[::-1] > _NEGLIGIBLE * variance[-1])
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), range(len(axes))] < 0, -1.0, 1.0)  # the same on any machine
    return Maps(axes[None], -of.mean @ axes)


def _whitening(moments: Moments, *, ridge: float, each: bool) -> Maps:
    of = moments if each else moments.pooled()
    matrix = power(of.covariance(), -0.5, ridge)
    return Maps(matrix, -(of.mean[:, None] @ matrix)[:, 0])


def _scaling_by_ridged(moments: Moments, *, ridge: float) -> Maps:
    """Components divided by the root of their variance and ridge."""
    of = moments.pooled()
    variance = np.diag(of.covariance()[0])
    deviation = np.where(variance > _NEGLIGIBLE * variance.max(), np.sqrt(variance + ridge), 0.0)
    return scaling(of.mean, deviation[None], np.zeros_like(of.mean))


def _recolouring(moments: Moments, *, ridge: float) -> Maps:
    white, colour = _whitening(moments, ridge=ridge, each=True), power(moments.pooled().covariance(), 0.5, ridge)
    return white.then(Maps(colour, np.zeros((1, colour.shape[1]))))


def power(covariance: Values, exponent: float, ridge: float) -> Values:
    """(C + ridge I)^exponent of each covariance (M, F, F); directions without any variance are 0."""
    variance, axes = np.linalg.eigh(covariance)
    there = variance > _NEGLIGIBLE * variance.max(axis=1, keepdims=True)
    variance = np.maximum(variance, 0.0) + ridge
    roots = np.where(there, np.where(there, variance, 1.0) ** exponent, 0.0)
    matrix = (axes * roots[:, None, :]) @ np.swapaxes(axes, 1, 2)
    varies = np.einsum("mff->mf", covariance) > 0  # of other features nothing is left, not even rounding
    return np.asarray(matrix * (varies[:, :, None] & varies[:, None, :]))


def _by(step: Callable[..., Maps], *, each: bool) -> Callable[..., Maps]:
    return partial(step, each=each)


_TVN = (_by(_standardising, each=False), _rotating, _by(_standardising, each=True))
CORRECTIONS = {
    "none": Correction(),
    "centre": Correction((_by(_centring, each=False),)),
    "centre-batch": Correction((_by(_centring, each=True),), by_batch=True),
    "standardise": Correction((_by(_standardising, each=False),)),
    "standardise-batch": Correction((_by(_standardising, each=True),), by_batch=True),
    "robust": Correction(robust=True),
    "robust-batch": Correction(robust=True, by_batch=True),
    "sphere": Correction(
        (_by(_standardising, each=False), _by(_whitening, each=False)), covariance=True, ridge=SPHERE_RIDGE
    ),
    "sphere-batch": Correction(
        (_by(_standardising, each=True), _by(_whitening, each=True)),
        by_batch=True, covariance=True, ridge=SPHERE_RIDGE,
    ),
    "whiten": Correction(
        (_by(_standardising, each=False), _rotating, _scaling_by_ridged), covariance=True, ridge=SPHERE_RIDGE
    ),
    "tvn-whiten": Correction((*_TVN, _by(_whitening, each=True)), by_batch=True, covariance=True, ridge=TVN_RIDGE),
    "tvn-recolour": Correction((*_TVN, _recolouring), by_batch=True, covariance=True, ridge=TVN_RIDGE),
}  # fmt: skip
"""Name -> how cells are corrected."""
