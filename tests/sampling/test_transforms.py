"""The transform: into the decoder's range, and back."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from contrascope.errors import StoreError
from contrascope.sampling.transforms import Transform, measured_transform, paper_transform
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.vocabulary import Batch

DTYPES = ["uint8", "uint16", "float32"]


def microscopy(n: int, *, seed: int = 0, side: int = 16) -> np.ndarray:
    """(n, 2, side, side) uint16: a broad channel, and one that is mostly empty with a few bright spots."""
    rng = np.random.default_rng(seed)
    broad = 300 + rng.gamma(4.0, 200.0, (n, side, side))
    spots = 120 + rng.poisson(5, (n, side, side)) + 8000 * (rng.random((n, side, side)) > 0.97)
    return np.stack([broad, spots], axis=1).round().astype(np.uint16)


def store_of(images: np.ndarray, path: Path, control: np.ndarray | None = None) -> CropStore:
    control = np.arange(len(images)) % 2 == 0 if control is None else control
    name = np.where(control, "nontargeting", "a")
    cells = pl.DataFrame({"guide": name, "perturbation": name, "control": control})
    return store_from_arrays(images, cells, path / "cells.zarr", channels=[f"C{i}" for i in range(images.shape[1])])


def measured(store: CropStore, *, size: int = 16, seed: int = 0) -> Transform:
    return measured_transform(store, np.arange(len(store)), size=size, seed=seed)


def test_the_papers_is_arcsinh_less_seven_over_seven() -> None:
    pixels = np.random.default_rng(0).integers(0, 65_536, (3, 2, 16, 16)).astype(np.uint16)
    seen = paper_transform(16, 2)(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(seen, (np.arcsinh(pixels.astype(float)) - 7) / 7, rtol=1e-5, atol=1e-6)


def test_the_papers_centres_counts_of_about_five_hundred() -> None:
    assert paper_transform(1, 1).inverse(torch.zeros(1, 1, 1, 1)).item() == pytest.approx(np.sinh(7), rel=1e-5)


@given(
    offset=st.floats(0, 500),
    cofactor=st.floats(1, 500),
    center=st.floats(-2, 3),
    spread=st.floats(0.5, 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_the_inverse_gives_back_the_pixels(
    offset: float, cofactor: float, center: float, spread: float, seed: int
) -> None:
    pixels = torch.from_numpy(microscopy(2, seed=seed).astype(np.float32))
    t = Transform(16, offset=[offset] * 2, cofactor=[cofactor] * 2, center=[center] * 2, spread=[spread] * 2)
    torch.testing.assert_close(t.inverse(t(pixels)), pixels, rtol=2e-5, atol=0.02)


def test_channels_have_their_own_constants() -> None:
    t = Transform(1, offset=[0.0, 10.0], cofactor=[1.0, 2.0], center=[0.0, 1.0], spread=[1.0, 4.0])
    seen = t(torch.full((1, 2, 1, 1), 30.0)).flatten()
    torch.testing.assert_close(seen, torch.tensor([np.arcsinh(30.0), (np.arcsinh(10.0) - 1) / 4]).float())


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_of_a_store_is_seen_alike(dtype: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(5, 250, (20, 2, 16, 16))
    one, same = (store_of(images.astype(d), tmp_path / d) for d in (dtype, "float32"))
    assert measured(one).state() == measured(same).state()
    seen = measured(one)(torch.from_numpy(one.read(np.arange(20))))
    assert seen.dtype == torch.float32
    assert torch.equal(seen, measured(same)(torch.from_numpy(same.read(np.arange(20)))))


def test_the_brightest_pixel_of_16_bits_is_not_lost() -> None:
    pixels = torch.from_numpy(np.full((1, 1, 16, 16), 65_535, np.uint16))
    t = paper_transform(16, 1)
    torch.testing.assert_close(t.inverse(t(pixels)), torch.full((1, 1, 16, 16), 65_535.0), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_the_bulk_of_the_controls_is_brought_into_the_reach_of_tanh(tmp_path: Path, dtype: str) -> None:
    images = microscopy(100).astype(dtype)
    seen = measured(store_of(images, tmp_path))(torch.from_numpy(images[::2])).numpy()
    for channel in seen.swapaxes(0, 1):
        low, high = np.percentile(channel, [0.5, 99.9])
        assert low == pytest.approx(-0.9, abs=0.01)
        assert high == pytest.approx(0.9, abs=0.01)
        assert (np.abs(channel) <= 0.9 + 1e-4).mean() > 0.99


def test_the_broad_channel_uses_the_whole_range(tmp_path: Path) -> None:
    images = microscopy(100)
    seen = measured(store_of(images, tmp_path))(torch.from_numpy(images))[:, 0]
    assert seen.std() > 0.2
    assert abs(seen.median()) < 0.3


@given(st.floats(0.01, 100), st.floats(-1000, 1000))
@settings(max_examples=15, deadline=None)
def test_a_cameras_gain_and_offset_make_no_difference(
    tmp_path_factory: pytest.TempPathFactory, gain: float, offset: float
) -> None:
    """What is measured on the controls takes any linear change of units back."""
    images = microscopy(30).astype(np.float32)
    changed = (images * gain + offset).astype(np.float32)
    a, b = (store_of(x, tmp_path_factory.mktemp("gain")) for x in (images, changed))
    torch.testing.assert_close(
        measured(a)(torch.from_numpy(images)), measured(b)(torch.from_numpy(changed)), rtol=0, atol=0.02
    )


def test_only_controls_are_looked_at(tmp_path: Path) -> None:
    images, control = microscopy(40), np.arange(40) % 2 == 0
    altered = images.copy()
    altered[~control] = 60_000
    a, b = store_of(images, tmp_path / "a", control), store_of(altered, tmp_path / "b", control)
    assert measured(a).state() == measured(b).state()


def test_only_training_cells_are_looked_at(tmp_path: Path) -> None:
    images, training = microscopy(40), np.arange(20)
    altered = images.copy()
    altered[20:] = 60_000
    a, b = store_of(images, tmp_path / "a"), store_of(altered, tmp_path / "b")
    one, same = (measured_transform(s, training, size=16, seed=0) for s in (a, b))
    assert one.state() == same.state()


def test_all_controls_are_looked_at_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, read = microscopy(400), []
    store, control = store_of(images, tmp_path), np.arange(0, 400, 2)
    monkeypatch.setattr("contrascope.sampling.transforms._PIXELS_AT_ONCE", 30 * 2 * 16 * 16 + 1)
    monkeypatch.setattr(CropStore, "ask", lambda self, rows, ask=CropStore.ask: read.append(rows) or ask(self, rows))
    offset = measured(store).offset.flatten().numpy()
    assert max(map(len, read)) == 30
    np.testing.assert_array_equal(np.concatenate(read), control)
    np.testing.assert_allclose(offset, [np.percentile(images[control, c], 0.5) for c in (0, 1)], rtol=1e-6)


def test_of_too_many_controls_a_sample_by_the_seed_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrascope.sampling.transforms._MEASURED_CELLS", 2000)
    images = np.random.default_rng(0).integers(0, 255, (4100, 1, 2, 2)).astype(np.uint8)
    store = store_of(images, tmp_path, np.arange(4100) > 0)
    one, same, other = (measured(store, size=2, seed=seed).state() for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert one["cofactor"][0] == pytest.approx(other["cofactor"][0], rel=0.05)


def test_many_levels_share_the_controls_that_are_looked_at_but_each_has_its_fewest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrascope.sampling.transforms._MEASURED_CELLS", 60)
    monkeypatch.setattr("contrascope.sampling.transforms._FEWEST_OF_LEVEL", 20)
    number, control = np.arange(400), np.arange(400) < 200
    name = np.where(control, "nontargeting", "a")
    cells = pl.DataFrame({"guide": name, "perturbation": name, "control": control}).with_columns(
        plate=pl.Series(number % 5).cast(pl.String), batch=pl.Series(number % 2).cast(pl.String)
    )
    store = store_from_arrays(microscopy(400), cells, tmp_path / "cells.zarr", channels=["C0", "C1"])
    read: list[int] = []
    monkeypatch.setattr(
        CropStore, "ask", lambda self, rows, ask=CropStore.ask: read.append(len(rows)) or ask(self, rows)
    )
    for by, each in (("plate", 20), ("batch", 30)):
        measured_transform(store, number, size=16, seed=0, by=by)
        assert set(read) == {each}
        read.clear()


def test_a_constant_channel_is_refused_by_name(tmp_path: Path) -> None:
    images = microscopy(10)
    images[:, 1] = 7
    with pytest.raises(StoreError, match="C1 are constant"):
        measured(store_of(images, tmp_path))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused_by_channel(tmp_path: Path, wrong: float) -> None:
    images = microscopy(10).astype(np.float32)
    images[0, 1] = wrong
    with pytest.raises(StoreError, match="C1 hold NaN or infinite pixels"):
        measured(store_of(images, tmp_path))


def test_its_state_makes_it_again() -> None:
    t = Transform(8, offset=[0.1, 2.0], cofactor=[1.5, 3.0], center=[0.3, 1.0], spread=[1.0, 4.0])
    pixels = torch.from_numpy(microscopy(3))
    assert torch.equal(Transform(**t.state())(pixels), t(pixels))


def test_a_batch_keeps_its_labels_and_rows() -> None:
    batch = Batch(torch.from_numpy(microscopy(2)), torch.tensor([0, 1]), torch.tensor([5, 6]))
    seen = paper_transform(16, 2).batch(batch)
    assert torch.equal(seen.images, paper_transform(16, 2)(batch.images))
    assert seen.perturbation is batch.perturbation
    assert seen.rows is batch.rows


def test_a_transform_has_nothing_to_train_or_save() -> None:
    assert not list(paper_transform(16, 2).parameters())
    assert not paper_transform(16, 2).state_dict()


def smooth(side: int, seed: int = 0) -> np.ndarray:
    """(side, side) waves of a few pixels and longer."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:side, :side] / side
    waves = (np.sin(2 * np.pi * (f * x + g * y) + p) for f, g, p in rng.uniform(-4, 4, (6, 3)))
    return np.asarray(500 + 60 * sum(waves))


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """Resized by the transform alone, its arcsinh taken back."""
    t = paper_transform(size, 1)
    return t.inverse(t(torch.from_numpy(image[None, None].astype(np.float32))))[0, 0].numpy()


@pytest.mark.parametrize(("side", "size"), [(100, 64), (96, 32), (48, 16), (32, 64)])
def test_resizing_is_close_to_scikit_images(side: int, size: int) -> None:
    image = smooth(side)
    expected = resize(image, (size, size), order=1, anti_aliasing=size < side, mode="edge", preserve_range=True)
    inner = slice(2, -2)
    difference = resized(image, size)[inner, inner] - expected[inner, inner]
    assert np.abs(difference).mean() < 0.1 * image.std()
    assert resized(image, size).mean() == pytest.approx(image.mean(), rel=0.01)


def test_resizing_averages_noise_instead_of_picking_pixels() -> None:
    """Without anti-aliasing every third pixel of white noise is still white noise."""
    noise = np.random.default_rng(0).normal(1000, 100, (96, 96))
    small = resized(noise, 32)
    assert small.mean() == pytest.approx(1000, abs=2)
    assert small.std() < 50


def test_resizing_keeps_a_flat_image_flat() -> None:
    np.testing.assert_allclose(resized(np.full((100, 100), 321.0), 64), 321.0, rtol=1e-4)


def test_crops_that_are_not_square_become_square() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paper_transform(16, 2)(torch.ones(1, 2, 24, 40)).shape == (1, 2, 16, 16)


def two_batches(path: Path, gain: float, offset: float, *, controls: int = 40) -> CropStore:
    """Cells of one kind in two wells, the second imaged with another gain and offset."""
    images = microscopy(160)[:, :1].astype(np.float32)
    second = np.arange(160) % 2 == 1
    images[second] = images[second] * gain + offset
    control = np.arange(160) < 2 * controls
    name = np.where(control, "nontargeting", "a")
    cells = pl.DataFrame({"guide": name, "perturbation": name, "control": control, "plate": "P"})
    cells = cells.with_columns(well=pl.Series(np.where(second, "A2", "A1")))
    return store_from_arrays(images, cells, path / "cells.zarr", channels=["DNA"])


def test_normalised_by_batch_gain_and_offset_of_a_well_are_gone(tmp_path: Path) -> None:
    store = two_batches(tmp_path, gain=3.0, offset=500.0)
    rows, second = np.arange(len(store)), (store.cells["well"] == "A2").to_numpy()
    seen = {}
    for by in (None, "batch"):
        t = measured_transform(store, rows, size=16, seed=0, by=by).bound(store)
        seen[by] = t(torch.from_numpy(store.read(rows)), torch.from_numpy(rows)).numpy()
    apart = {by: abs(x[second].mean() - x[~second].mean()) / x.std() for by, x in seen.items()}
    assert apart[None] > 0.5
    assert apart["batch"] < 0.05


def test_each_batch_is_treated_as_if_it_were_a_screen_of_its_own(tmp_path: Path) -> None:
    store = two_batches(tmp_path, gain=2.0, offset=100.0)
    rows = np.flatnonzero((store.cells["well"] == "A2").to_numpy())
    alone = measured_transform(store, rows, size=16, seed=0)
    together = measured_transform(store, np.arange(len(store)), size=16, seed=0, by="batch").bound(store)
    pixels, where = torch.from_numpy(store.read(rows)), torch.from_numpy(rows)
    torch.testing.assert_close(together(pixels, where), alone(pixels))
    torch.testing.assert_close(together.inverse(together(pixels, where), where), pixels, rtol=1e-4, atol=0.05)


def test_a_transform_by_batch_comes_back_from_its_state(tmp_path: Path) -> None:
    store = two_batches(tmp_path, gain=2.0, offset=100.0)
    t = measured_transform(store, np.arange(len(store)), size=16, seed=0, by="batch")
    again, rows = Transform(**t.state()), torch.arange(10)
    pixels = torch.from_numpy(store.read(rows.numpy()))
    assert torch.equal(again.bound(store)(pixels, rows), t.bound(store)(pixels, rows))


def test_a_batch_with_few_controls_is_named(tmp_path: Path) -> None:
    store = two_batches(tmp_path, gain=1.0, offset=0.0, controls=9)
    with pytest.raises(StoreError, match=r"by batch: .*A1 \(9\).*fewer than 10 controls"):
        measured_transform(store, np.arange(len(store)), size=16, seed=0, by="batch")


def test_a_batch_that_was_not_trained_on_is_named(tmp_path: Path) -> None:
    store = two_batches(tmp_path, gain=1.0, offset=0.0)
    t = measured_transform(store, np.arange(len(store)), size=16, seed=0, by="batch")
    known = t.state() | {"levels": ["P_A1", "elsewhere"]}
    with pytest.raises(StoreError, match=r"P_A2.*not trained on"):
        Transform(**known).bound(store)


def test_a_gain_is_that_of_brighter_light_above_the_offset() -> None:
    transform = Transform(16, offset=[100.0] * 2, cofactor=[50.0] * 2, center=[1.0] * 2, spread=[2.0] * 2)
    pixels = torch.rand(3, 2, 16, 16, generator=torch.Generator().manual_seed(0)) * 1000 + 100
    gain = torch.tensor([[1.0, 2.0], [0.5, 1.0], [1.0, 1.0]])
    brighter = (pixels - 100) * gain[..., None, None] + 100
    torch.testing.assert_close(transform(pixels, gain=gain), transform(brighter))
    assert torch.equal(transform(pixels, gain=gain)[2], transform(pixels)[2])


@pytest.mark.parametrize("by", [None, "well"])
def test_what_is_made_of_a_cell_does_not_depend_on_how_many_are_transformed_together(by: str | None) -> None:
    pixels = torch.from_numpy(microscopy(100, side=24))
    values = {"offset": [100.0, 90.0], "cofactor": [50.0, 5.0], "center": [3.0, 2.0], "spread": [3.0, 2.0]}
    if by is not None:
        values = {name: [few, [2 * value for value in few]] for name, few in values.items()}
    transform = Transform(16, **values, by=by, levels=["A1", "A2"] if by else None)
    rows, gain = torch.arange(100).flip(0), torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) + 0.5
    transform.level_of_row = torch.arange(100) % 2 if by else None
    together = transform(pixels, rows, gain=gain)
    alone = [transform(pixels[i : i + 1], rows[i : i + 1], gain=gain[i : i + 1]) for i in range(100)]
    assert torch.equal(together, torch.cat(alone))
    assert together.is_contiguous(memory_format=torch.channels_last)
