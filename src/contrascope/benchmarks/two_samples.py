"""How far apart two groups of cells are, for many ways to say which cell is in which group.

Each statistic takes features (N, F) and labels (P, N), true for the perturbed cells of each of P labellings, and
gives (P,) numbers, the larger the further apart. So a permutation test is one matrix product:

- energy distance, 2 E|x - y| - E|x - x'| - E|y - y'| over pairs of different cells (unbiased: 0 on average where the
  groups are alike, and sometimes below); after Székely and Rizzo 2013. It sees any difference, of means or not.
- Hotelling's T^2 = nm / (n + m) d' S^-1 d with d the difference of means and S the covariance of all N cells, shrunk
  (Ledoit and Wolf 2004). S does not know the labels, else no permutation of them would be alike: a covariance of the
  controls alone fits the controls better than any other cells, which makes p-values too small.
- AUC of a linear probe: least squares with a ridge, the linear discriminant's direction, learned anew for every
  labelling on four fifths of the cells and judged on the last; mean over the five folds.

With N cells and P labellings the energy distance costs 2 N^2 (P + F) operations in float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.covariance import LedoitWolf

Matrix = NDArray[np.float64]
Labels = NDArray[np.bool_]
FOLDS = 5
RIDGE = 0.1
"""Added to the variance of each feature, which is about 1."""


def energy_distances(features: Matrix, labels: Labels) -> Matrix:
    """(P,) unbiased energy distances, in the units of the features.

    Args:
        features: (N, F).
        labels: (P, N); each labelling has at least two cells on either side.
    """
    distance = distances(features)
    count = len(distance)
    # A constant taken from all distances of different cells leaves the result, and rounding a tenth of what it was.
    distance -= distance.sum(dtype=np.float64) / (count * (count - 1))
    np.fill_diagonal(distance, 0.0)
    chosen = labels.astype(np.float32)
    within = np.multiply(chosen @ distance, chosen).sum(axis=1, dtype=np.float64)
    touching = labels @ distance.sum(axis=1, dtype=np.float64)
    across = touching - within
    rest = distance.sum(dtype=np.float64) - within - 2 * across
    n = labels.sum(axis=1).astype(float)
    m = count - n
    result: Matrix = 2 * across / (n * m) - within / (n * (n - 1)) - rest / (m * (m - 1))
    return result


def distances(features: Matrix) -> NDArray[np.float32]:
    """(N, N) Euclidean distances between rows (N, F), by one matrix product in float32."""
    x = (features - features.mean(axis=0)).astype(np.float32)
    squares = np.einsum("nf,nf->n", x, x)
    product = x @ x.T
    product *= -2
    product += squares[:, None]
    product += squares[None, :]
    np.maximum(product, 0.0, out=product)
    np.sqrt(product, out=product)
    np.fill_diagonal(product, 0.0)
    return product


def hotelling(features: Matrix, labels: Labels) -> Matrix:
    """(P,) Hotelling's T^2 with the shrunk covariance of all cells.

    Args:
        features: (N, F).
        labels: (P, N); each labelling has a cell on either side.
    """
    n = labels.sum(axis=1).astype(float)
    m = len(features) - n
    result: Matrix = n * m / (n + m) * squared_shifts(features @ whitening(features), labels)
    return result


def whitening(features: Matrix) -> Matrix:
    """(F, F) matrix that makes the shrunk covariance of rows (N, F) the identity; directions without variance go."""
    variance, axes = np.linalg.eigh(LedoitWolf().fit(features).covariance_)
    varies = variance > 1e-10 * variance.max()
    result: Matrix = axes * np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
    return result


def squared_shifts(features: Matrix, labels: Labels) -> Matrix:
    """(P,) squared Euclidean distances between the means of both groups."""
    x = features - features.mean(axis=0)
    sums = labels.astype(float) @ x
    n = labels.sum(axis=1, keepdims=True).astype(float)
    # The sum over all cells is 0, so the other group's is the negative.
    shift = sums * (1 / n + 1 / (len(x) - n))
    return np.einsum("pf,pf->p", shift, shift)


def probe_aucs(features: Matrix, labels: Labels, folds: NDArray[np.intp]) -> Matrix:
    """(P,) AUC of a linear probe on cells that it has not seen, mean over folds; 0.5 is chance.

    Args:
        features: (N, F), of variance about 1.
        labels: (P, N); the labellings have equally many perturbed cells in each fold.
        folds: (N,) which fold a cell is judged in; folds with one kind of cell are left out.
    """
    areas = []
    for fold in np.unique(folds):
        seen, judged = folds != fold, folds == fold
        truth = labels[:, judged].T
        if not 0 < truth[:, 0].sum() < len(truth):
            continue
        x = features[seen] - features[seen].mean(axis=0)
        normal = x.T @ x + RIDGE * len(x) * np.eye(x.shape[1])
        slope = np.linalg.solve(normal, x.T @ labels[:, seen].T.astype(float))
        areas.append(_area(features[judged] @ slope, truth))
    if not areas:
        return np.full(len(labels), 0.5)
    result: Matrix = np.mean(areas, axis=0)
    return result


def _area(scores: Matrix, truth: Labels) -> Matrix:
    """Area under the ROC curve of each column, by the ranks of the true ones; ties count half."""
    # Scores that differ by rounding alone are one score.
    ranks = rankdata(np.round(scores, 12), axis=0)
    n = truth.sum(axis=0).astype(float)
    area: Matrix = ((ranks * truth).sum(axis=0) - n * (n + 1) / 2) / (n * (len(truth) - n))
    return area


def folds_of(perturbed: Labels, stratum: NDArray[np.intp], generator: np.random.Generator) -> NDArray[np.intp]:
    """(N,) one of five folds for each cell, so that each has its share of both groups and of every stratum."""
    order = np.lexsort([generator.random(len(perturbed)), stratum, perturbed])
    folds = np.empty(len(order), dtype=np.intp)
    folds[order] = np.arange(len(order)) % FOLDS
    return folds
