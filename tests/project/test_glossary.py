"""The words of debian/glossary.md: those of the table are used, and the retired ones stay away from definitions."""

import ast
import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
GLOSSARY = (TOP / "debian/glossary.md").read_text()
MODULES = sorted((TOP / "heartbeatd").rglob("*.py"))
RETIRED = frozenset(re.findall(r"`(\w+)`", GLOSSARY.partition("## What things are no longer called")[2]))
WORDS = re.findall(
    r"^\| ([A-Za-z ,-]+) \| .{10}", GLOSSARY.partition("## What things are no longer called")[0], re.MULTILINE
)


def definitions(path: Path) -> set[str]:
    """What a module defines: itself, its classes and functions, without a leading underscore."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = {n.name for n in nodes if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name.strip("_") for name in {*names, path.stem, path.parent.name}}


def test_the_test_knows_a_retired_name_when_it_sees_one(tmp_path: Path) -> None:
    """A class, a method, a function with an underscore before it, and a module."""
    module = tmp_path / "wiring.py"
    module.write_text("class Ledger:\n    def judge(self): ...\ndef _said(): ...\n")
    assert definitions(module) & RETIRED == {"wiring", "Ledger", "judge", "said"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(TOP)))
def test_no_retired_name_is_defined_again(path: Path) -> None:
    """Neither a module, nor a class, nor a function."""
    assert not definitions(path) & RETIRED


@pytest.mark.parametrize("word", [word.strip() for words in WORDS for word in words.split(",") if words != "word"])
def test_each_word_is_used(word: str) -> None:
    """In the code or the documents of the package; a word that nobody uses explains nothing."""
    texts = [path.read_text() for path in (*MODULES, TOP / "README.md", *sorted((TOP / "debian/man").glob("*.scd")))]
    assert any(re.search(rf"\b{word.replace('-', '-?').replace(' ', '[ _]?')}", text, re.IGNORECASE) for text in texts)
