"""How sources are collected: settings that a source inherits from its tags and those from all sources.

`fields.py` names the settings and how people type them, `levels.py` finds out what holds for a source and where that
comes from, `plan.py` is what collecting does with it, `patterns.py` and `page_rules.py` are parts of that.
"""

from scrapers.source_settings.fields import SETTINGS, Setting, SettingsForm, clean_settings
from scrapers.source_settings.levels import Resolved, resolve, resolve_all

__all__ = ["SETTINGS", "Resolved", "Setting", "SettingsForm", "clean_settings", "resolve", "resolve_all"]
