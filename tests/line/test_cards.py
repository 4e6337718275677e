"""The stage ``cards``: pictures and tables of each perturbation, of a model with a salient space and of one without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrascope.contrast import store_contrast
from contrascope.line import cards
from contrascope.pipeline import Line
from contrascope.report.gathered import read_gathered
from contrascope.screen.screen import open_screen

SMALL = {
    "training.epochs": 1,
    "training.image_size": 16,
    "training.background_size": 4,
    "training.salient_size": 3,
}


def to_cards(screen: Path, out: Path, said: list[str] | None = None, **changes: object) -> Line:
    said = [] if said is None else said
    line = Line(open_screen(screen, SMALL | changes), out, said.append)
    line.store()
    line.run()
    line.cells()
    line.profiles()
    line.cards()
    return line


@pytest.fixture(scope="module")
def line(tiny_screen: Path, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The tiny screen, up to its cards. Read only."""
    return to_cards(tiny_screen, tmp_path_factory.mktemp("cards") / "out")


def test_each_perturbation_has_its_sheets_and_tables(line: Line) -> None:
    found, store = read_gathered(line.out / "cards"), line.made.store
    names = set(store.perturbations)
    assert set(found.tables["cells"]["perturbation"]) == names == set(found.tables["guides"]["perturbation"])
    pictures = found.tables["pictures"]
    assert (pictures.groupby("perturbation").size() == 1 + len(store.channels)).all() and len(names) > 1
    for row in pictures.to_dict("records"):
        with Image.open(found.folder / row["file"]) as picture:
            assert picture.size == (row["width"], row["height"])


def test_rows_are_those_of_the_store(line: Line) -> None:
    table, store = read_gathered(line.out / "cards").tables["cells"], line.made.store
    label = np.array(["control", *store.perturbations], dtype=object)[store.labels]
    assert label[table["row"]].tolist() == table["perturbation"].tolist()
    assert (store.labels[table["control"]] == 0).all() and (store.labels[table["other"]] == 0).all()
    assert label[table["random"]].tolist() == table["perturbation"].tolist()
    assert table["guide"].tolist() == store.cells["guide"].to_numpy()[table["row"].to_numpy()].tolist()


def test_cards_drawn_a_few_at_a_time_are_the_same(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "_AT_ONCE", 2)
    cards.draw_cards(tmp_path, line.made.store, line.made.run, line.made.cells, line.made.cells)
    for path in sorted((line.out / "cards").glob("*.csv")):
        assert (tmp_path / path.name).read_text() == path.read_text(), path.name


def test_pictures_stay_within_their_bytes(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def size(folder: Path) -> int:
        files = read_gathered(folder).by_name("pictures")[line.made.store.perturbations[0]]["file"]
        return sum((folder / file).stat().st_size for file in files)

    free = size(line.out / "cards")
    monkeypatch.setattr(cards, "CARD_BYTES", int(0.7 * free))
    cards.draw_cards(tmp_path, line.made.store, line.made.run, line.made.cells, line.made.cells)
    assert size(tmp_path) <= 0.7 * free


def test_cards_that_are_there_are_not_drawn_again(line: Line) -> None:
    said: list[str] = []
    again = Line(line.screen, line.out, said.append)
    again.cards()
    assert said == ["cards: done before"]


def test_a_model_without_salient_space_has_cards_without_counterfactual(tiny_screen: Path, tmp_path: Path) -> None:
    line = to_cards(tiny_screen, tmp_path / "vae", model="vae")
    found = read_gathered(line.out / "cards")
    assert found.facts["space"] == "background"
    assert set(found.tables["pictures"]["rows"]) == {"cells matched random other"}
    assert (found.tables["pictures"]["amplification"] == 0).all()


def test_names_that_no_file_system_takes_make_files_all_the_same() -> None:
    assert cards._plain("../a b/<c>") == "a-b-c" and cards._plain("ä/") == "x" and len(cards._plain("a" * 300)) == 40


def test_limits_are_the_same_for_all_cards(line: Line) -> None:
    facts, store = read_gathered(line.out / "cards").facts, line.made.store
    np.testing.assert_array_equal(facts["limits"], store_contrast(store))
    limits = np.array(facts["model_limits"])
    assert limits.shape == (len(store.channels), 2) and (limits[:, 1] > limits[:, 0]).all()


def test_cells_are_drawn_from_stored_pixels_at_their_own_resolution(line: Line) -> None:
    found, store = read_gathered(line.out / "cards"), line.made.store
    name = store.perturbations[0]
    sheet = next(row for row in found.by_name("pictures")[name].to_dict("records") if row["view"] == store.channels[0])
    first = found.by_name("cells")[name].iloc[0]["row"]
    (low, high), (H, W) = store_contrast(store)[0], store.crop_size
    expected = 255 * np.clip((store.read(np.array([first]))[0, 0] - low) / (high - low), 0, 1)
    with Image.open(found.folder / sheet["file"]) as picture:
        seen = np.asarray(picture.convert("L"), dtype=float)[: H - 8, :W]  # the bar lies below
    assert np.corrcoef(seen.ravel(), expected[: H - 8].ravel())[0, 1] > 0.95
    assert abs(seen.mean() - expected[: H - 8].mean()) < 8
