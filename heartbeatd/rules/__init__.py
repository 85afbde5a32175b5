"""The rules, one kind of subject a file. Each file has a function `rule`, which makes the rule from the settings.

There is no list beside the files: who adds a rule adds its file here, its words to `core/text/`, and a probe for a new measure.
"""

from importlib import import_module
from pathlib import Path

from heartbeatd.core.rule import Rule, RuleSettings

KINDS: tuple[str, ...] = tuple(sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py")))


def all_rules(settings: RuleSettings) -> tuple[Rule, ...]:
    """The rule of each file."""
    return tuple(import_module(f"{__name__}.{kind}").rule(settings) for kind in KINDS)
