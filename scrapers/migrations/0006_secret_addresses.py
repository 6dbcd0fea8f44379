"""Tokens that stood in addresses of sources before they were taken out of them are encrypted among the settings.

Back again nothing is done: the code before this sends such parameters, too.
"""

import logging

from django.db import migrations

from scrapers.secrets import sealed, without_tokens

logger = logging.getLogger(__name__)


def take_tokens(apps, schema_editor):
    """Do what `Source.clean` does when a source is saved; where another source has the address then, do nothing."""
    sources = apps.get_model("scrapers", "Source").objects
    for source in list(sources.filter(url__contains="?").only("url", "settings")):
        url, tokens = without_tokens(source.url)
        if not tokens:
            continue
        if sources.filter(url=url).exclude(pk=source.pk).exists():
            logger.warning(
                "The address of source %s holds a token and cannot be had without it, since another source has that "
                "address; everybody who sees sources can read the token.",
                source.pk,
            )
            continue
        parameters = {
            **{name: sealed(value) for name, value in tokens.items()},
            **source.settings.get("parameters", {}),
        }
        sources.filter(pk=source.pk).update(url=url, settings={**source.settings, "parameters": parameters})


class Migration(migrations.Migration):
    dependencies = [("scrapers", "0005_chosen_group")]
    operations = [migrations.RunPython(take_tokens, migrations.RunPython.noop)]
