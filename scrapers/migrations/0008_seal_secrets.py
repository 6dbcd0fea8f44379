"""Secrets among the settings that were stored as plain text before they were encrypted are encrypted.

Back again nothing is done: the code before this reads both.
"""

from urllib.parse import urlsplit

from django.db import migrations

from scrapers.secrets import sealed

#: Headers that hold no secret, as `scrapers.source_settings.inputs` had it at this point.
HARMLESS = {"accept", "accept-language", "cache-control", "dnt", "origin", "referer", "x-requested-with"}


def seal(apps, schema_editor):
    """Do what saving a source or what sources inherit does with headers, cookies, parameters and the proxy."""
    for model, field in (("Source", "settings"), ("SettingsLevel", "values")):
        rows = apps.get_model("scrapers", model).objects
        for key, values in list(rows.exclude(**{field: {}}).order_by("pk").values_list("pk", field)):
            changed = with_secrets_sealed(values)
            if changed != values:
                rows.filter(pk=key).update(**{field: changed})


def with_secrets_sealed(values):
    """Return settings with their secrets encrypted; what is no text, or names the environment, stays as it is."""
    found = dict(values)
    for name in ("headers", "cookies", "parameters"):
        pairs = found.get(name)
        if isinstance(pairs, dict):
            found[name] = {
                key: value if name == "headers" and key.lower() in HARMLESS else _sealed(value)
                for key, value in pairs.items()
            }
    proxy = found.get("proxy")
    if isinstance(proxy, str) and "@" in proxy and urlsplit(proxy).password:
        found["proxy"] = _sealed(proxy)
    return found


def _sealed(value):
    # One that names a variable that is not read is told so by a run; encrypted it would be sent as it stands.
    return value if not isinstance(value, str) or "env:" in value else sealed(value)


class Migration(migrations.Migration):
    dependencies = [("scrapers", "0007_paused_until")]
    operations = [migrations.RunPython(seal, migrations.RunPython.noop)]
