"""The command says in one paragraph what is wrong, in its last line what was done, and does nothing twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import click
import numpy as np
import polars as pl
import pytest
import tifffile
import typer.main
import yaml

from contrascope import cli
from contrascope.profiles.corrections import CORRECTIONS
from contrascope.store.store import CropStore

WriteScreen = Callable[..., Path]
COMMANDS = sorted(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
MAIN = [sys.executable, "-m", "contrascope.cli"]
STAGES = (
    "store",
    "quality",
    "run",
    "embedding",
    "profiles",
    "benchmark complexes",
    "benchmark hits",
    "benchmark novelty",
    "benchmark explained",
    "benchmark functions",
    "benchmark artifacts",
    "benchmark mitosis",
    "benchmark stages",
    "figures",
    "maps",
    "cards",
    "report",
)


@dataclass
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """The command line, in this process."""

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["contrascope", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return Said(int(end.value.code or 0), out, err)

    return call


def one_paragraph(said: Said, kind: str = "Error") -> str:
    assert said.code == 1, said
    assert said.out == ""
    assert "Traceback" not in said.err
    assert len(said.err.strip().splitlines()) == 1, said.err
    assert kind in said.err.split(":")[0]
    return said.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_used_with_an_example(name: str, command: Callable[..., Said]) -> None:
    said = command(name, "--help")
    assert said.code == 0
    assert f"Example: contrascope {name} " in " ".join(said.out.split())
    assert "--quiet" in said.out
    assert "--json" in said.out


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_without_a_command_all_are_listed(words: list[str], command: Callable[..., Said]) -> None:
    said = command(*words)
    assert all(name in said.out + said.err for name in COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["ingest"],
        ["ingest", "screen.yaml"],
        ["ingest", "screen.yaml", "--out", "x", "--colour", "red"],
        ["simulate", "x", "--seed", "one"],
        ["profile", "cells.h5ad", "--by", "plate", "--out", "x.h5ad"],
        ["verify"],
    ],
)
def test_wrong_usage_is_code_2(words: list[str], command: Callable[..., Said]) -> None:
    said = command(*words)
    assert said.code == 2
    assert said.out == ""


def test_the_installed_command_works_too(tmp_path: Path) -> None:
    done = subprocess.run([*MAIN, "verify", str(tmp_path)], capture_output=True, text=True, check=False)
    one_paragraph(Said(done.returncode, done.stdout, done.stderr), "StoreError")


def _changed(cells: pl.DataFrame, column: str, value: Any) -> pl.DataFrame:
    """The table with another value for the tenth cell."""
    return cells.with_columns(pl.when(pl.int_range(pl.len()) == 9).then(pl.lit(value)).otherwise(column).alias(column))


BAD_TABLES: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a missing column": (lambda t: t.drop("guide"), "'guide'"),
    "a NaN position": (lambda t: _changed(t, "y", float("nan")), "no finite y"),
    "no position": (lambda t: _changed(t, "x", None), "no finite x"),
    "a position outside its tile": (lambda t: _changed(t, "x", 480.0), "outside their tile"),
    "an id that stands twice": (lambda t: _changed(t, "cell_id", "c00"), "c00"),
    "a tile without file": (lambda t: _changed(t, "tile", 7), "tile 7"),
    "no controls": (lambda t: t.filter(pl.col("perturbation") != "control"), "'control' does not occur"),
    "controls only": (lambda t: t.filter(pl.col("perturbation") == "control"), "All 8 cells"),
    "no rows": (lambda t: t.clear(), "no rows"),
}


@pytest.mark.parametrize("what", BAD_TABLES)
@pytest.mark.parametrize("file", ["cells.parquet", "cells.csv"])
def test_a_table_with_a_fault_is_refused(
    what: str,
    file: str,
    tmp_path: Path,
    command: Callable[..., Said],
    write_screen: WriteScreen,
    toy_cells: pl.DataFrame,
) -> None:
    spoil, words = BAD_TABLES[what]
    path = write_screen(tmp_path, cells=spoil(toy_cells), table=file)
    for name in ("ingest", "run"):
        message = one_paragraph(command(name, path, "--out", tmp_path / "out.zarr"), "Error")
        assert words in message
        assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("images.channels=[DNA, GFP, RFP]", "TileError", "3 channels"),
        ("cells.control=DMSO", "TableError", "'DMSO' does not occur"),
        ("crop.size=44", "ScreenError", "larger than the smallest tile"),
        ("crop.sise=20", "SettingsError", "'crop.sise' is not a setting"),
        ("training.epoch=3", "SettingsError", "epoch"),
        ("training.n_cells=3", "SettingsError", "n_cells"),
        ("crop.size=[", "SettingsError", "not understood"),
        ("crop.size", "SettingsError", "KEY=VALUE"),
        ("=3", "SettingsError", "KEY=VALUE"),
        ("images.reader=czi", "SettingsError", "tiff"),
        ("cells.table=nowhere.csv", "TableError", "no cell table"),
    ],
)
def test_a_setting_with_a_fault_is_refused(
    change: str, kind: str, words: str, tmp_path: Path, command: Callable[..., Said], write_screen: WriteScreen
) -> None:
    said = command("ingest", write_screen(tmp_path), "--out", tmp_path / "s.zarr", "--set", change)
    assert words in one_paragraph(said, kind)


def test_a_missing_tile_file_is_refused(
    tmp_path: Path, command: Callable[..., Said], write_screen: WriteScreen
) -> None:
    path = write_screen(tmp_path)
    (tmp_path / "tiles/P1_A2_1.tif").unlink()
    assert "well A02 tile 1" in one_paragraph(command("ingest", path, "--out", tmp_path / "s.zarr"), "TileError")


def test_a_damaged_tile_file_is_refused(
    tmp_path: Path, command: Callable[..., Said], write_screen: WriteScreen
) -> None:
    path = write_screen(tmp_path)
    (tmp_path / "tiles/P1_A2_1.tif").write_bytes(b"II*\x00 no tiff\n\nat all")
    assert "P1_A2_1.tif" in one_paragraph(command("ingest", path, "--out", tmp_path / "s.zarr"), "TileError")


def test_an_output_that_is_taken_is_refused(
    tmp_path: Path, command: Callable[..., Said], write_screen: WriteScreen
) -> None:
    path, out = write_screen(tmp_path), tmp_path / "s.zarr"
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").touch()
    assert command("ingest", path, "--out", out).code == 0
    assert "other inputs" in one_paragraph(command("ingest", path, "--out", out, "--set", "crop.size=20"), "StoreError")
    for taken in ("file", "full", "file/below"):
        for name in ("ingest", "run"):
            one_paragraph(command(name, path, "--out", tmp_path / taken), "StoreError")
    assert (tmp_path / "file").read_text() == "mine"
    assert os.listdir(tmp_path / "full") == ["thesis.txt"]  # noqa: PTH208


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, command: Callable[..., Said], write_screen: WriteScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path, *args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    path = write_screen(tmp_path)
    monkeypatch.setattr(Path, "mkdir", denied)
    for words in (["ingest", path, "--out", tmp_path / "s.zarr"], ["simulate", tmp_path / "new", "--preset", "tiny"]):
        said = command(*words)
        assert said.code == 1
        assert "Permission denied" in said.err
        assert "Traceback" not in said.err


def test_names_are_printed_as_they_are(tmp_path: Path, command: Callable[..., Said]) -> None:
    odd = tmp_path / ":dog: [red] 100%.yaml"
    assert str(odd) in one_paragraph(command("ingest", odd, "--out", tmp_path / "x"), "SettingsError")


def test_a_store_that_is_damaged_is_named_file_by_file(
    tiny_store: CropStore, tmp_path: Path, command: Callable[..., Said]
) -> None:
    assert command("verify", tiny_store.path).code == 0
    copy = Path(shutil.copytree(tiny_store.path, tmp_path / "copy.zarr"))
    shard = copy / "images/c/0/0/0/0"
    shard.write_bytes(shard.read_bytes()[:1000])
    assert "images/c/0/0/0/0" in one_paragraph(command("verify", copy), "StoreError")
    assert "verify" in one_paragraph(command("train", copy, "--out", tmp_path / "run"), "StoreError")
    assert "no store" in one_paragraph(command("info", tmp_path), "StoreError")
    assert "not readable" in one_paragraph(command("ingest", shard, "--out", tmp_path / "x"), "SettingsError")


@pytest.mark.parametrize("change", ["out=x", "model=vae", "preset=paper", "store=y", "epoch=3", "epochs=0"])
def test_a_setting_of_training_with_a_fault_is_refused(
    change: str, tiny_store: CropStore, tmp_path: Path, command: Callable[..., Said]
) -> None:
    said = command("train", tiny_store.path, "--out", tmp_path / "run", "--set", change)
    one_paragraph(said, "SettingsError")


@pytest.mark.parametrize(
    "words",
    [
        ["embed", "{store}", "{tmp}", "--out", "{tmp}/c.h5ad"],
        ["profile", "{tmp}/nowhere.h5ad", "--out", "{tmp}/p.h5ad"],
        ["profile", "{store}/checksums.json", "--out", "{tmp}/p.h5ad"],
        ["benchmark", "{store}/cells.parquet", "complexes", "--out", "{tmp}/b"],
        ["train", "{store}", "--out", "{tmp}/run", "--model", "gan"],
        ["train", "{store}", "--out", "{tmp}/run", "--preset", "best"],
        ["train", "{store}", "--out", "{tmp}/run", "--logger", "nosuch"],
        ["train", "{store}", "--out", "{tmp}/run", "--from", "{tmp}/nowhere"],
        ["train", "{store}", "--out", "{tmp}/run", "--nodes", "2"],
        ["embed", "{store}", "{tmp}", "--out", "{tmp}/c.zarr", "--devices", "many"],
        ["simulate", "{tmp}/new", "--preset", "huge"],
        ["simulate", "{store}", "--preset", "tiny"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_single_stage_refuses_what_it_cannot_use(
    words: list[str], tiny_store: CropStore, tmp_path: Path, command: Callable[..., Said]
) -> None:
    one_paragraph(command(*(word.format(store=tiny_store.path, tmp=tmp_path) for word in words)))


def test_a_training_starts_from_another_run(
    tiny_store: CropStore, tmp_path: Path, command: Callable[..., Said]
) -> None:
    settings = ("epochs=1", "image_size=16", "background_size=2", "salient_size=2")
    changes = [word for setting in settings for word in ("--set", setting)]
    assert command("train", tiny_store.path, "--out", tmp_path / "first", *changes).code == 0
    said = command("train", tiny_store.path, "--out", tmp_path / "second", "--from", tmp_path / "first", *changes)
    assert said.code == 0
    first, second = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("first", "second"))
    assert second["start_from"] == first["fingerprint"]


def test_commands_that_take_a_store_take_its_url(
    s3: Callable[[str | Path, str], str], tiny_store: CropStore, tmp_path: Path, command: Callable[..., Said]
) -> None:
    url = s3(tiny_store.path, "commands/cells.zarr")
    here, there = (json.loads(command("info", path, "--json").out) for path in (tiny_store.path, url))
    assert there == here
    assert command("verify", url).out.startswith(f"{url} is sound")
    settings = ("epochs=1", "image_size=16", "background_size=2", "salient_size=2")
    said = command("train", url, "--out", tmp_path / "run", "--json", *(w for s in settings for w in ("--set", s)))
    assert json.loads(said.out)["steps"] > 0
    assert "4 x 64 x 64" in command("info", url).out
    said = command("embed", url, tmp_path / "run", "--out", tmp_path / "cells.h5ad", "--json")
    assert json.loads(said.out)["n"] == len(tiny_store)


def test_a_store_that_is_not_there_and_a_url_to_write_to_are_refused(
    s3: Callable[[str | Path, str], str], tiny_store: CropStore, tiny_screen: Path, command: Callable[..., Said]
) -> None:
    for words in (["info"], ["verify"], ["train", "--out", "x"]):
        assert "no bucket of this name" in one_paragraph(command(*words, "s3://nowhere/cells.zarr"), "StoreError")
    out = ["--out", "s3://bucket/out.h5ad"]
    for words in (
        ["ingest", tiny_screen],
        ["run", tiny_screen],
        ["train", tiny_store.path],
        ["embed", tiny_store.path, "run"],
        ["profile", "cells.h5ad"],
        ["benchmark", "cells.h5ad", "dose"],
        ["find-cells", tiny_screen, "--channel", "DAPI"],
    ):
        assert "s3://bucket/out.h5ad is a URL" in one_paragraph(command(*words, *out), "SettingsError")


def test_the_last_line_as_json_can_be_parsed(
    tmp_path: Path, tiny_store: CropStore, command: Callable[..., Said], write_screen: WriteScreen
) -> None:
    path = write_screen(tmp_path)
    said = command("ingest", path, "--out", tmp_path / "s.zarr", "--json")
    facts = json.loads(said.out.splitlines()[-1])
    assert facts["rows"] == 24 == facts["stored"] + sum(facts["dropped"].values())
    assert json.loads(command("info", tiny_store.path, "--json").out)["cells"] == len(tiny_store)
    assert json.loads(command("verify", tiny_store.path, "--json").out)["sound"] is True
    made = json.loads(command("simulate", tmp_path / "new", "--preset", "tiny", "--json").out.splitlines()[-1])
    assert Path(made["screen"]).is_file()


def test_quiet_says_nothing_but_the_last_line(
    tmp_path: Path, tiny_store: CropStore, command: Callable[..., Said], write_screen: WriteScreen
) -> None:
    for words in (["ingest", write_screen(tmp_path), "--out", tmp_path / "s.zarr"], ["verify", tiny_store.path]):
        said = command(*words, "--quiet")
        assert said.err == ""
        assert len(said.out.splitlines()) == 1


def test_whoever_stops_it_is_told_that_it_can_go_on(
    tmp_path: Path, command: Callable[..., Said], write_screen: WriteScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    path = write_screen(tmp_path)
    monkeypatch.setattr("contrascope.store.crops.plan_store", stopped)
    said = command("ingest", path, "--out", tmp_path / "s.zarr")
    assert said.code == 130
    assert "resumes from there" in said.err


def test_profiles_are_not_written_over_their_cells(command: Callable[..., Said], tmp_path: Path) -> None:
    cells = tmp_path / "cells.h5ad"
    cells.write_bytes(b"cells")
    said = command("profile", cells, "--out", tmp_path / "." / "cells.h5ad")
    assert said.code == 1
    assert "the cells themselves. Name another file" in said.err
    assert cells.read_bytes() == b"cells"


def test_a_letter_that_a_terminal_has_not_got_is_no_reason_to_end(tmp_path: Path) -> None:
    words = [*MAIN, "simulate", str(tmp_path / "größe β"), "--preset", "tiny", "--quiet"]
    narrow = os.environ | {"PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=narrow)
    assert done.returncode == 0, done.stderr
    assert r"gr\xf6\xdfe \u03b2" in done.stdout


def test_commands_of_the_design_are_there() -> None:
    made = {"demo", "run", "simulate", "ingest", "train", "embed", "profile", "benchmark", "report", "info", "verify"}
    assert made <= set(COMMANDS)
    assert isinstance(typer.main.get_command(cli.app), click.Group | typer.main.TyperGroup)


def run_line(screen: Path, out: Path, *words: str) -> list[str]:
    """What ``run``, as a process of its own, says on the way."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*MAIN, "run", str(screen), "--out", str(out), "--set", "training.epochs=1", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["report"] == str(out / "report.html")
    return done.stderr.splitlines()


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


@pytest.fixture(scope="module")
def screen(tiny_screen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny screen, asked with few permutations."""
    path = Path(shutil.copytree(tiny_screen.parent, tmp_path_factory.mktemp("line") / "screen")) / "screen.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["benchmarks"] |= {"functions": {"permutations": 3}, "hits": {"permutations": 19}}
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def analysis(screen: Path) -> Path:
    run_line(screen, screen.parents[1] / "analysis")
    return screen.parents[1] / "analysis"


def test_every_file_of_the_design_is_there(analysis: Path) -> None:
    for name in (
        "cells.zarr/zarr.json",
        "quality/tiles.csv",
        "quality/outliers.csv",
        "quality/focus.png",
        "quality/focus.csv",
        "runs/mcvae/run.json",
        "embedding/cells.h5ad",
        "profiles/guide.h5ad",
        "profiles/perturbation.h5ad",
        "benchmarks/complexes.csv",
        "benchmarks/artifacts.csv",
        "maps/pictures.csv",
        "report.html",
    ):
        assert (analysis / name).is_file(), name
    page = (analysis / "report.html").read_text()
    assert '<h2 id="quality-control">' in page
    assert len(re.findall("of 18 tiles sticks? out", page)) == 1


def test_a_second_run_does_nothing_and_says_so(screen: Path, analysis: Path) -> None:
    before = snapshot(analysis)
    assert run_line(screen, analysis) == [f"{stage}: done before" for stage in STAGES]
    after = snapshot(analysis)
    assert {name: content for name, (_, content) in after.items()} == {name: c for name, (_, c) in before.items()}
    written_again = [name for name in before if after[name] != before[name]]
    assert not written_again


def test_a_report_is_written_again_of_what_is_done_and_of_nothing_else(
    screen: Path, analysis: Path, command: Callable[..., Said]
) -> None:
    page = (analysis / "report.html").read_bytes()
    words = ("report", screen, "--out", analysis, "--quiet", "--set", "training.epochs=1")
    assert command(*words).code == 0
    assert (analysis / "report.html").read_bytes() == page
    other = command(*words, "--set", "training.epochs=77")
    assert "the stage 'run mcvae' would be done again" in one_paragraph(other, "RunError")
    assert (analysis / "report.html").read_bytes() == page


def test_another_option_of_a_benchmark_reruns_it_and_the_report_only(screen: Path, analysis: Path) -> None:
    before = snapshot(analysis)
    said = run_line(screen, analysis, "--set", "benchmarks.complexes.seed=5")
    again = [stage for stage, line in zip(STAGES, said, strict=True) if line != f"{stage}: done before"]
    assert again == ["benchmark complexes", "report"]
    changed = {name for name, there in snapshot(analysis).items() if there != before.get(name)}
    others = {
        n for n in changed if not n.startswith("benchmarks/complexes") and n not in ("report.html", "stages.json")
    }
    assert others == set()


def test_a_folder_of_another_screen_is_refused_and_left_untouched(
    screen: Path, analysis: Path, tmp_path: Path, command: Callable[..., Said]
) -> None:
    other = Path(shutil.copytree(screen.parent, tmp_path / "other"))
    tile = tifffile.imread(other / "tiles/P1_A1_0.ome.tif")
    tifffile.imwrite(other / "tiles/P1_A1_0.ome.tif", np.roll(tile, 1, 1), photometric="minisblack")
    before = snapshot(analysis)
    one_paragraph(command("run", other / "screen.yaml", "--out", analysis), "StoreError")
    assert snapshot(analysis) == before


def test_what_the_single_stages_say_can_be_parsed(analysis: Path, tmp_path: Path, command: Callable[..., Said]) -> None:
    run, cells = analysis / "runs/mcvae", analysis / "embedding/cells.h5ad"
    facts = json.loads(command("info", run, "--json").out)
    assert facts["model"] == "mcvae"
    said = command("profile", cells, "--by", "guide", "--out", tmp_path / "guides.h5ad", "--json")
    assert json.loads(said.out.splitlines()[-1])["n"] > 100
    said = command("profile", cells, "--correct", "centre-batch", "--batch", "plate", "--out", tmp_path / "genes.h5ad")
    assert "by perturbation" in said.out
    said = command("profile", cells, "--correct", "combat", "--out", tmp_path / "genes.h5ad")
    assert "no correction 'combat'" in one_paragraph(said, "SettingsError")
    said = command("benchmark", cells, "artifacts", "--out", tmp_path / "b", "--set", "nonsense=1")
    assert "nonsense" in one_paragraph(said, "SettingsError")


def test_the_help_of_profile_names_every_correction() -> None:
    said = get_type_hints(cli.profile, include_extras=True)["correct"].__metadata__[0].help
    named = set(re.findall(r"[\w-]+", said))
    assert {name.removesuffix("-batch") for name in CORRECTIONS} <= named
