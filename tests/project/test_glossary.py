"""The words of debian/glossary.md: those of the table are used, and the retired ones stay away, from prose as well."""

import ast
import builtins
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
GLOSSARY = (TOP / "debian/glossary.md").read_text()
MODULES = sorted((TOP / "heartbeatd").rglob("*.py"))
RETIRED = frozenset(re.findall(r"`(\w+)`", GLOSSARY.partition("## What things are no longer called")[2]))
WORDS = re.findall(
    r"^\| ([A-Za-z ,-]+) \| .{10}", GLOSSARY.partition("## What things are no longer called")[0], re.MULTILINE
)
# Retired as names only: plain English in a sentence.
_ENGLISH = """
Absent answers Beat Beats Before Begun Call Change counted cut Daemon Ending Fault found Hung interrupted judge Keep keeping
length lima Looks Note outcome presence Presence Process Question Remembers Reports ring said settled Tells trouble
"""
ENGLISH = frozenset(re.findall(r"\w+", _ENGLISH))
EXCEPTIONS = {"ArgumentTypeError", *dir(builtins)}


@cache
def prose(path: Path) -> str:
    """The docstrings and comments of a module."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [
        ast.get_docstring(n) or "" for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, documented)
    ]
    with path.open("rb") as file:
        comments = [token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
    return "\n".join(docstrings + comments)


def classes(path: Path) -> set[str]:
    """The names of the classes that a module defines."""
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)}


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


def test_no_retired_name_is_defined_again() -> None:
    """Neither a module, nor a class, nor a function."""
    assert {str(path.relative_to(TOP)): found for path in MODULES if (found := definitions(path) & RETIRED)} == {}


def test_no_retired_name_is_spoken_of() -> None:
    """In docstrings and comments what things are called now is what they are called; those that are English too may be used."""
    spoken = {str(path.relative_to(TOP)): set(re.findall(r"\w+", prose(path))) for path in MODULES}
    assert {name: found for name, words in spoken.items() if (found := words & (RETIRED - ENGLISH))} == {}


def test_what_is_raised_is_there() -> None:
    """Each error that a docstring says is raised has a class, or is Python's own."""
    known = EXCEPTIONS.union(*map(classes, MODULES))
    for path in MODULES:
        raised = " ".join(re.findall(r"\bRaises ([^.]*)", prose(path)))
        assert set(re.findall(r"\b[A-Z]\w*[a-z]\w*", raised)) - known == set(), path


@pytest.mark.parametrize("word", [word.strip() for words in WORDS for word in words.split(",") if words != "word"])
def test_each_word_is_used(word: str) -> None:
    """In the code or the documents of the package; a word that nobody uses explains nothing."""
    texts = [path.read_text() for path in (*MODULES, TOP / "README.md", *sorted((TOP / "debian/man").glob("*.scd")))]
    assert any(re.search(rf"\b{word.replace('-', '-?').replace(' ', '[ _]?')}", text, re.IGNORECASE) for text in texts)
