"""The drawing of the model is what its script draws."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drawing", DOCS / "drawing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_in_the_documentation_is_the_one_that_the_script_draws() -> None:
    drawing = script()
    assert drawing.PICTURE.read_text(encoding="utf-8") == drawing.drawing()


def test_the_picture_says_in_words_what_it_shows_and_stands_on_a_ground_of_its_own() -> None:
    drawing = script()
    root = ET.fromstring(drawing.drawing())
    named = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert [named[name] for name in root.attrib["aria-labelledby"].split()] == [drawing.TITLE, drawing.WORDS]
    first = next(element for element in root if element.tag.endswith("rect"))
    assert first.get("fill") == "white"  # legible on a dark page too


def test_every_word_of_the_picture_lies_within_it() -> None:
    drawing = script()
    texts = [element for element in ET.fromstring(drawing.drawing()).iter() if element.tag.endswith("text")]
    for text in texts:
        half = 0.27 * float(text.attrib["font-size"]) * len(text.text or "")
        assert half <= float(text.attrib["x"]) <= drawing.WIDTH - half, text.text
        assert 0 < float(text.attrib["y"]) < drawing.HEIGHT, text.text
