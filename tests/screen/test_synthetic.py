"""The synthetic screen is what its truth says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile
from scipy import ndimage

from contrascope.config import load_screen_settings
from contrascope.errors import ScreenError, SettingsError
from contrascope.screen.simulation.design import CHANNELS, PRESETS
from contrascope.screen.synthetic import synthetic_screen

SIZE = PRESETS["tiny"].tile_size


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_screen(tmp_path_factory.mktemp("synthetic") / "tiny", preset="tiny").parent


@pytest.fixture(scope="module")
def truth(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cells(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "cells.parquet")


@pytest.fixture(scope="module")
def hidden(folder: Path, cells: pl.DataFrame) -> pl.DataFrame:
    """The cell table with the truth beside it."""
    return cells.join(pl.read_parquet(folder / "truth_cells.parquet"), on="UID", validate="1:1")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_equal_seeds_write_equal_bytes(folder: Path, tmp_path: Path) -> None:
    again = synthetic_screen(tmp_path / "again", preset="tiny", seed=0).parent
    assert _bytes(folder) == _bytes(again)


def test_another_seed_draws_other_cells(folder: Path, tmp_path: Path) -> None:
    other = synthetic_screen(tmp_path / "other", preset="tiny", seed=1).parent
    name = "tiles/P1_A1_0.ome.tif"
    assert (folder / name).read_bytes() != (other / name).read_bytes()


def test_the_screen_file_is_one_that_we_read(folder: Path) -> None:
    settings = load_screen_settings(folder / "screen.yaml")
    assert settings.images.channel_names == list(CHANNELS)
    assert settings.cells.table.exists()
    assert settings.annotations.complexes is not None and settings.annotations.complexes.exists()
    assert settings.cells.control == "nontargeting"


def test_every_cell_lies_on_a_tile_that_is_there(folder: Path, cells: pl.DataFrame) -> None:
    for plate, well, tile in cells.select("plate", "well", "tile").unique().iter_rows():
        assert (folder / "tiles" / f"{plate}_{well}_{tile}.ome.tif").exists()
    assert len(list((folder / "tiles").iterdir())) == PRESETS["tiny"].n_tiles


def test_a_tile_says_what_it_is(folder: Path) -> None:
    with tifffile.TiffFile(folder / "tiles" / "P1_A1_4.ome.tif") as tiff:
        assert tiff.series[0].axes == "CYX"
        assert tiff.series[0].shape == (4, SIZE, SIZE)
        assert tiff.series[0].dtype == np.uint16
        described = tiff.ome_metadata or ""
    assert all(f'Name="{channel}"' in described for channel in CHANNELS)
    assert 'PhysicalSizeX="0.65"' in described


def test_positions_lie_inside_their_tiles(cells: pl.DataFrame) -> None:
    for column in ("cell_i", "cell_j"):
        assert cells[column].is_between(0, SIZE - 1).all()


def test_ids_are_unique(cells: pl.DataFrame) -> None:
    assert cells["UID"].is_unique().all()


def test_the_cell_table_does_not_tell_the_truth(cells: pl.DataFrame) -> None:
    assert cells.columns == [
        "UID", "plate", "well", "tile", "tile_row", "tile_column",
        "cell_i", "cell_j", "sgRNA_0", "gene_symbol_0", "stage",
    ]  # fmt: skip


def test_tiny_keeps_about_400_cells_away_from_edges(cells: pl.DataFrame) -> None:
    inner = cells.filter(pl.col("cell_i").is_between(32, SIZE - 32) & pl.col("cell_j").is_between(32, SIZE - 32))
    assert 330 <= len(inner) <= 480


def test_a_quarter_of_the_cells_are_controls(cells: pl.DataFrame, truth: dict[str, Any]) -> None:
    controls = (cells["gene_symbol_0"] == "nontargeting").sum()
    assert truth["n_controls"] == controls
    assert truth["n_cells"] == len(cells)
    assert 0.23 <= controls / len(cells) <= 0.31


def test_complexes_are_genes_of_the_screen(folder: Path, truth: dict[str, Any]) -> None:
    lines = (folder / "complexes.gmt").read_text(encoding="utf-8").splitlines()
    listed = {name: genes for name, _, *genes in (line.split("\t") for line in lines)}
    assert len(listed) == 8
    for name, genes in listed.items():
        assert len(genes) == 3
        assert all(truth["genes"][gene]["complex"] == name for gene in genes)
    kinds = [planted["kind"] for planted in truth["complexes"].values()]
    assert kinds.count("shifted") == kinds.count("novel") == 4
    assert sum(gene["kind"] == "inert" for gene in truth["genes"].values()) == 4


def test_every_gene_has_a_function(folder: Path, truth: dict[str, Any]) -> None:
    functions = pl.read_csv(folder / "gene_functions.csv")
    assert functions.columns == ["gene", "function"]
    assert set(functions["gene"]) == set(truth["genes"])


def test_every_guide_penetrates_in_its_own_measure(truth: dict[str, Any]) -> None:
    active = [g for g in truth["guides"].values() if truth["genes"].get(g["gene"], {}).get("complex")]
    penetrances = [g["penetrance"] for g in active]
    assert len(active) == 96 and min(penetrances) >= 0.45 and max(penetrances) <= 0.9
    assert len(set(penetrances)) > 80
    assert sum(g["gene"] == "nontargeting" for g in truth["guides"].values()) == 12


def test_edge_tiles_are_denser_and_their_cells_smaller(hidden: pl.DataFrame) -> None:
    inner = (pl.col("tile_row") == 1) & (pl.col("tile_column") == 1)
    tiles = hidden.group_by("well", "tile").agg(inner.first().alias("inner"), pl.len(), pl.col("radius").mean())
    middle, edge = (tiles.filter(pl.col("inner") == is_inner) for is_inner in (True, False))
    assert edge["len"].mean() > 1.1 * middle["len"].mean()  # type: ignore[operator]
    assert edge["radius"].mean() < middle["radius"].mean()  # type: ignore[operator]


def test_mitotic_arrest_makes_more_mitotic_cells(hidden: pl.DataFrame) -> None:
    arrested = hidden.filter(pl.col("gene_symbol_0").str.starts_with("BETA"))["stage"] == "mitotic"
    others = hidden.filter(~pl.col("gene_symbol_0").str.starts_with("BETA"))["stage"] == "mitotic"
    assert arrested.mean() > 2 * others.mean()  # type: ignore[operator]


def test_nuclei_of_g2_hold_twice_the_dna_and_are_larger(hidden: pl.DataFrame) -> None:
    g1, g2 = (hidden.filter(pl.col("phase") == phase) for phase in ("G1", "G2"))
    assert g2["light_DAPI"].mean() / g1["light_DAPI"].mean() == pytest.approx(2, rel=0.1)  # type: ignore[operator]
    assert g2["nucleus_radius"].mean() > 1.1 * g1["nucleus_radius"].mean()  # type: ignore[operator]


def test_there_is_a_nucleus_where_the_table_says(folder: Path, hidden: pl.DataFrame) -> None:
    dapi = tifffile.imread(folder / "tiles" / "P1_A2_4.ome.tif")[0].astype(float)
    here = hidden.filter((pl.col("well") == "A2") & (pl.col("tile") == 4) & (pl.col("structure") == "none"))
    y, x = (
        (here[f"cell_{axis}"] + here[f"nucleus_offset_{offset}"]).round().cast(int).clip(0, SIZE - 1).to_numpy()
        for axis, offset in (("i", "y"), ("j", "x"))
    )
    smooth = ndimage.uniform_filter(dapi, 5)
    assert (smooth[y, x] > np.median(dapi) + 100).mean() > 0.95


def test_planted_shifts_are_in_the_tiles(folder: Path, truth: dict[str, Any]) -> None:
    for name in ("P1_A1_0", "P1_A1_5", "P1_A2_7"):
        tile = tifffile.imread(folder / "tiles" / f"{name}.ome.tif").astype(float)
        dapi, damage = (ndimage.median_filter(np.minimum(tile[c], np.percentile(tile[c], 99)), 3) for c in (0, 2))
        planted = truth["artefacts"]["shift"][name]
        assert planted["DAPI"] == [0, 0]
        np.testing.assert_allclose(_displacement(dapi, damage), planted["gH2AX"], atol=1)


def _displacement(still: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Whole-pixel shift with the highest correlation, found by trying them all."""
    inner = (slice(10, -10), slice(10, -10))
    tries = [(dy, dx) for dy in range(-8, 9) for dx in range(-8, 9)]
    back = [np.roll(moved, (-dy, -dx), axis=(0, 1))[inner].ravel() for dy, dx in tries]
    return np.array(tries[int(np.argmax([np.corrcoef(still[inner].ravel(), b)[0, 1] for b in back]))])


def test_shifts_are_whole_and_fractional_and_within_6_px(truth: dict[str, Any]) -> None:
    shifts = np.array([[s[c] for c in CHANNELS[1:]] for s in truth["artefacts"]["shift"].values()])
    assert np.abs(shifts).max() <= 6
    whole = (shifts == shifts.round()).all(axis=-1)
    assert 0.1 < whole.mean() < 0.6


def test_tiles_do_not_saturate(folder: Path) -> None:
    for path in sorted((folder / "tiles").iterdir())[::5]:
        tile = tifffile.imread(path)
        assert tile.max() < 30_000
        assert 90 < np.percentile(tile, 1) < 400


def test_progress_counts_tiles(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    synthetic_screen(tmp_path / "out", preset="tiny", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(i + 1, 18) for i in range(18)]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ScreenError, match="not an empty folder"):
        synthetic_screen(tmp_path, preset="tiny")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_screen_that_was_cut_short_has_no_screen_file(tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic_screen(tmp_path / "out", preset="tiny", progress=stop)
    assert not (tmp_path / "out" / "screen.yaml").exists()


def test_an_unknown_preset_names_the_choices(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="tiny, small, medium"):
        synthetic_screen(tmp_path / "out", preset="huge")
    assert not (tmp_path / "out").exists()
