"""The catalogs of the languages that alerts are told in, which are beside this file (gettext)."""

import gettext
import logging
from pathlib import Path

from heartbeatd.core.locale import ENGLISH

DOMAIN = "heartbeatd"
FOLDER = Path(__file__).parent / "po"

log = logging.getLogger(__name__)


def catalog(language: str, folder: Path = FOLDER) -> gettext.NullTranslations:
    """Of this language; English, and a line in the journal, if it cannot be read: an alert in English is better than none."""
    if language == "en":
        return ENGLISH
    try:
        return gettext.translation(DOMAIN, folder, [language])
    except Exception as error:  # noqa: BLE001, a damaged file makes gettext raise anything
        log.warning("alerts are told in English, for the catalog of %s cannot be read: %s", language, error)
        return ENGLISH
