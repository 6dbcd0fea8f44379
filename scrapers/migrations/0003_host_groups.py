"""Lanes belong to groups of hosts. They hold no more than leases of seconds, so they are made anew and not moved."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scrapers", "0002_search"),
    ]

    operations = [
        migrations.DeleteModel(name="HostLane"),
        migrations.CreateModel(
            name="HostGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=300, unique=True, verbose_name="name")),
            ],
            options={
                "verbose_name": "group of hosts",
                "verbose_name_plural": "groups of hosts",
                "ordering": ["name"],
            },
        ),
        migrations.AddField(
            model_name="host",
            name="group",
            field=models.ForeignKey(
                blank=True,
                help_text="With which it shares slots and cool-downs; empty until it is asked again.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="hosts",
                to="scrapers.hostgroup",
                verbose_name="group",
            ),
        ),
        migrations.CreateModel(
            name="HostLane",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveSmallIntegerField(verbose_name="number")),
                ("holder", models.CharField(blank=True, max_length=32, verbose_name="holder")),
                ("leased_until", models.FloatField(default=0.0, verbose_name="leased until")),
                ("next_slot_at", models.FloatField(default=0.0, verbose_name="next request not before")),
                ("wanted_until", models.FloatField(default=0.0, verbose_name="wanted by others until")),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lanes",
                        to="scrapers.hostgroup",
                        verbose_name="group",
                    ),
                ),
            ],
            options={
                "verbose_name": "lane",
                "verbose_name_plural": "lanes",
                "ordering": ["group", "number"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("holder", ""), _negated=True), fields=["holder"], name="hostlane_held"
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("group", "number"), name="hostlane_unique")],
            },
        ),
    ]
