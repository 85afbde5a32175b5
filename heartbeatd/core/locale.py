"""Who reads what is told: in which language, and by which clock."""

from dataclasses import dataclass
from gettext import NullTranslations

from heartbeatd.core.timefmt import LIMA_ZONE, Zone, clock

ENGLISH = NullTranslations()


def N_(text: str) -> str:
    """`text`, which is translated where it is told, not where it stands."""
    return text


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text that is translated where it is told, and what stands in it by name."""

    text: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Locale:
    """The zone of the times, and the catalog of the language; without one it is English, as the texts stand in the code."""

    zone: Zone = LIMA_ZONE
    catalog: NullTranslations = ENGLISH

    def say(self, text: str, **values: object) -> str:
        """`text` in the language, with `values` in the place of their names; a text that no catalog has as it is."""
        told = self.catalog.gettext(text) if text else ""  # of "" a catalog has its own description
        return told.format(**values) if values else told

    def say_number(self, one: str, many: str, number: int, **values: object) -> str:
        """As `say`, of a `{number}` of things: `one` for 1, `many` for others, or the forms that the language has."""
        return self.catalog.ngettext(one, many, number).format(number=number, **values)

    def say_all(self, sentences: tuple[Sentence, ...]) -> str:
        return " ".join(self.say(one.text, **dict(one.values)) for one in sentences)

    def clock(self, at_ns: int) -> str:
        """E.g. `2026-11-23 15:20:10 (America/Lima)`."""
        return clock(at_ns, self.zone)


IN_ENGLISH = Locale()
