"""A group of hosts can be chosen by hand."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scrapers", "0004_keeping"),
    ]

    operations = [
        # It may be null so that SQLite adds a column instead of making the table anew.
        migrations.AddField(
            model_name="host",
            name="chosen_group",
            field=models.CharField(
                blank=True,
                help_text="Hosts with the same name here are asked as if they were one, with their delays and pauses: "
                "the name of a group, a domain, or the address of another host. Empty: as the installation has it. "
                "Runs under way go on as they began.",
                max_length=300,
                null=True,
                verbose_name="chosen group",
            ),
        ),
    ]
