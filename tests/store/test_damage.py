"""Whatever happens to the bytes of a store, verify names the files it happened to, and ingest makes them again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.errors import StoreError
from contrascope.screen.screen import Screen, open_screen
from contrascope.store import shards
from contrascope.store.crops import extract_crops
from contrascope.store.damage import damage_report, damaged_files
from contrascope.store.shards import shard_name

BytesOf = Callable[[Path], dict[str, bytes]]
WriteScreen = Callable[..., Path]
Harm = Callable[[bytes], bytes | None]
"""What becomes of a file's bytes; None: the file is gone."""
SHARDS = [shard_name(i) for i in range(5)]
OTHERS = ["cells.parquet", "dropped.parquet", "tiles.parquet", "images/zarr.json"]


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory, write_screen: WriteScreen) -> Iterator[Screen]:
    """A toy screen whose 20 cells lie in 5 shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 4 * 2 * 16 * 16 * 2)
        yield open_screen(write_screen(tmp_path_factory.mktemp("damage")))


@pytest.fixture(scope="module")
def sound(screen: Screen, tmp_path_factory: pytest.TempPathFactory, bytes_of: BytesOf) -> dict[str, bytes]:
    """Every file of its store."""
    files = bytes_of(extract_crops(screen, tmp_path_factory.mktemp("sound") / "s.zarr").path)
    assert set(files) == {*SHARDS, *OTHERS, "zarr.json", "checksums.json"}
    return files


@st.composite
def harms(draw: st.DrawFn) -> Harm:
    """A byte that is another, an end that is missing or too much, zeros for content, no file at all."""
    place, byte = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(1, 255))

    def flipped(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + bytes([content[at] ^ byte]) + content[at + 1 :]

    kinds: list[Harm] = [
        flipped,
        lambda content: content[: int(place * len(content))],
        lambda content: content + bytes([byte]),
        lambda content: bytes(len(content)),
        lambda content: None,
    ]
    return draw(st.sampled_from([flipped, *kinds]))


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def harm(folder: Path, name: str, harmed: Harm) -> None:
    content = harmed((folder / name).read_bytes())
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)


@settings(max_examples=30)
@given(
    damage=st.dictionaries(st.sampled_from(SHARDS), harms(), min_size=1)
    | st.dictionaries(st.sampled_from([*SHARDS, *OTHERS]), harms(), min_size=1)
)
def test_no_damage_goes_unnoticed_and_exactly_what_is_damaged_is_made_again(
    damage: dict[str, Harm],
    screen: Screen,
    sound: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
    bytes_of: BytesOf,
) -> None:
    out = write(tmp_path_factory.mktemp("harmed") / "s.zarr", sound)
    before = {name: (out / name).stat().st_mtime_ns for name in SHARDS}
    for name, harmed in damage.items():
        harm(out, name, harmed)
    assert set(damaged_files(out)) == set(damage)
    with pytest.raises(StoreError, match=f"{len(damage)} files of the store"):
        damage_report(out)
    extract_crops(screen, out)
    assert bytes_of(out) == sound
    kept = {name for name in SHARDS if (out / name).stat().st_mtime_ns == before[name]}
    assert kept == set(SHARDS) - set(damage)
    shutil.rmtree(out)


def test_shards_that_changed_places_are_noticed(sound: dict[str, bytes], tmp_path: Path) -> None:
    out = write(tmp_path / "s.zarr", sound | {SHARDS[0]: sound[SHARDS[1]], SHARDS[1]: sound[SHARDS[0]]})
    assert set(damaged_files(out)) == set(SHARDS[:2])


@pytest.mark.parametrize("name", ["zarr.json", "checksums.json"])
def test_no_other_byte_of_a_description_goes_unnoticed(name: str, sound: dict[str, bytes], tmp_path: Path) -> None:
    """Every byte of it in turn; also where it makes the name of one file that of another."""
    out = write(tmp_path / "s.zarr", sound)
    for at, byte in enumerate(sound[name]):
        (out / name).write_bytes(sound[name][:at] + bytes([byte ^ 1 << at % 8]) + sound[name][at + 1 :])
        with pytest.raises(StoreError):
            damage_report(out)


def test_a_checksum_under_the_name_of_another_file_is_noticed(sound: dict[str, bytes], tmp_path: Path) -> None:
    sums = json.loads(sound["checksums.json"])
    del sums[SHARDS[1]]
    out = write(tmp_path / "s.zarr", sound | {"checksums.json": json.dumps(sums).encode()})
    assert damaged_files(out) == ["checksums.json"]


def test_without_checksums_every_shard_is_made_again(
    screen: Screen, sound: dict[str, bytes], tmp_path: Path, bytes_of: BytesOf
) -> None:
    out = write(tmp_path / "s.zarr", sound | {"checksums.json": b"{", SHARDS[2]: b"?"})
    extract_crops(screen, out)
    assert bytes_of(out) == sound
