"""The catalogs of the texts that people read."""

import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("catalog", sorted((TOP / "heartbeatd/po").glob("*.po")), ids=lambda path: path.stem)
def test_it_is_complete(catalog: Path) -> None:
    """Each text that the code marks is in it, translated, and no other is: else `make generate`, and translate what is new."""
    template = subprocess.run([TOP / "tests/catalogs", "template"], capture_output=True, text=True, check=True).stdout
    compared = subprocess.run(["msgcmp", catalog, "-"], input=template, capture_output=True, text=True, check=False)
    assert (compared.returncode, compared.stderr) == (0, "")
    marked = sum(line.startswith("msgid ") for line in template.splitlines())
    assert sum(line.startswith("msgid ") for line in catalog.read_text().splitlines()) == marked > 150
