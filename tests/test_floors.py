"""The house stands as drawn: imports point down, wings keep to themselves, tables know no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import contrascope

SOURCE = Path(contrascope.__file__).parent
FLOORS = (
    ("errors", "vocabulary"),
    ("addresses",),
    ("allocator", "compiled", "config", "cores", "litter", "registry", "progress"),
    ("shown", "tables"),
    ("screen",),
    ("store", "models"),
    ("sampling", "profiles"),
    ("features",),
    ("training", "benchmarks"),
    ("figures", "embedding"),
    ("report", "contrast"),
    ("notebook", "view"),
    ("line",),
    ("pipeline", "commands"),
    ("cli", "__init__"),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
WINGS = {
    "images": ("screen", "store", "sampling"),
    "models": ("models",),
    "tables": ("profiles", "benchmarks", "figures", "report"),
}


class _Imports(ast.NodeVisitor):
    """Names of all modules imported in a file, inside functions too, but not for type checking only."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_If(self, node: ast.If) -> None:
        for child in node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else [*node.body, *node.orelse]:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0 and node.module, "imports are written in full"
        self.found += [f"{node.module}.{alias.name}" for alias in node.names]


def _files() -> Iterator[tuple[Path, str, list[str]]]:
    """Each file of the package, its room, and what it imports."""
    for path in sorted(SOURCE.rglob("*.py")):
        imports = _Imports()
        imports.visit(ast.parse(path.read_text(encoding="utf-8")))
        yield path, path.relative_to(SOURCE).parts[0].removesuffix(".py"), imports.found


def _rooms(imported: list[str]) -> set[str]:
    ours = {name.split(".")[1] for name in imported if name.startswith("contrascope.")}
    return {room if room in FLOOR else "__init__" for room in ours}


def test_every_room_has_a_floor() -> None:
    assert {room for _, room, _ in _files()} == set(FLOOR)


def test_imports_only_point_down() -> None:
    upward = [
        f"{path.relative_to(SOURCE)} imports {other}"
        for path, room, imported in _files()
        for other in _rooms(imported) - {room}
        if FLOOR[other] >= FLOOR[room]
    ]
    assert not upward


def test_wings_do_not_import_each_other() -> None:
    wing = {room: name for name, rooms in WINGS.items() for room in rooms}
    across = [
        f"{path.relative_to(SOURCE)} imports {other}"
        for path, room, imported in _files()
        if room in wing
        for other in _rooms(imported)
        if wing.get(other, wing[room]) != wing[room]
    ]
    assert across == []


def test_nothing_in_the_tables_wing_imports_torch() -> None:
    lightless = (*WINGS["tables"], "tables", *FLOORS[0], *FLOORS[1])
    heavy = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path, room, imported in _files()
        if room in lightless
        for name in imported
        if name.split(".")[0] in ("torch", "lightning", "torchvision")
    ]
    assert heavy == []


def test_the_tables_wing_loads_nothing_of_the_images_wing() -> None:
    rooms = ", ".join(f"contrascope.{room}" for room in WINGS["tables"])
    code = f"import sys, {rooms}, contrascope.benchmarks.explained; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    strangers = {f"contrascope.{room}" for room in WINGS["images"]} | {"tensorstore", "imagecodecs", "tifffile"}
    assert strangers.isdisjoint(done.stdout.split())


def _loads_torch(statements: str) -> bool:
    code = f"import sys; {statements}; sys.exit('torch' in sys.modules)"
    return subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode != 0


def test_importing_the_package_and_its_command_loads_no_torch() -> None:
    assert not _loads_torch("import contrascope, contrascope.cli; dir(contrascope)")


def test_benchmarking_anybodys_embedding_loads_no_torch() -> None:
    assert not _loads_torch("import contrascope as cs; cs.benchmark, cs.profile, cs.Result, cs.read_anndata")


def test_opening_a_screen_and_a_store_loads_no_torch() -> None:
    assert not _loads_torch("import contrascope as cs; cs.open_screen, cs.extract_crops, cs.open_store")


def test_viewing_cells_loads_no_torch() -> None:
    assert not _loads_torch("import contrascope.view.server")


def test_measuring_cells_loads_no_torch() -> None:
    assert not _loads_torch("import contrascope.features.parts")


def test_every_public_name_is_there() -> None:
    for name in contrascope.__all__:
        assert getattr(contrascope, name).__name__ == name


def test_reading_and_reducing_features_loads_no_torch() -> None:
    assert not _loads_torch("import contrascope as cs; cs.match_features, cs.reduce_features")
