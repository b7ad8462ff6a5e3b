"""The Spanish and English words people read (gettext). English texts are the message ids."""

from __future__ import annotations

import gettext
import os
import sys
from functools import lru_cache
from pathlib import Path

LANGUAGES = ("en", "es")
_LOCALE_DIR = Path(__file__).parent / "locale"


def chosen_language(flag: str | None = None) -> str:
    """Language to speak: flag, else BITSTATION_LANG, else the locale, else English."""
    for wish in (flag, os.environ.get("BITSTATION_LANG"), _locale_language()):
        if wish and wish[:2].lower() in LANGUAGES:
            return wish[:2].lower()
    return "en"


def translation(lang: str | None = None) -> gettext.NullTranslations:
    """Catalogue of a language; English needs none."""
    return _catalogue(chosen_language(lang))


@lru_cache(maxsize=4)
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation("bitstation", _LOCALE_DIR, [language], fallback=True)


def _locale_language() -> str | None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return value
    if sys.platform == "win32":
        import ctypes
        import locale

        return locale.windows_locale.get(ctypes.windll.kernel32.GetUserDefaultUILanguage())
    return None
