"""Half as many indexes on the runs: of a burst's time on PostgreSQL, most went into writing them.

Those that only serve active runs, or values that few runs have, become partial. The fields' own indexes are dropped by
name: an AlterField would make SQLite's table anew, which takes long where it is big, and breaks the triggers of 0002.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

ACTIVE = Q(finished_at__isnull=True)
REMOVED = ["run_cause_newest", "run_waiting", "run_active", "run_backfill_active", "run_running"]
ADDED = [
    models.Index(fields=["cause", "-queued_at"], condition=~Q(cause="schedule"), name="run_cause_rare"),
    models.Index(fields=["status", "executor", "not_before"], condition=ACTIVE, name="run_unended"),
    models.Index(fields=["schedule", "status"], condition=ACTIVE, name="run_schedule_unended"),
    models.Index(
        fields=["backfill", "id"],
        condition=Q(backfill__isnull=False, finished_at__isnull=True),
        name="run_backfill_unended",
    ),
    models.Index(fields=["instance"], condition=ACTIVE, name="run_held"),
    *(
        models.Index(fields=[name], condition=Q((f"{name}__isnull", False)), name=f"run_{name}")
        for name in ("instance", "parent", "backfill", "requested_by", "noted_by", "cancel_requested_by")
    ),
]
FIELD_INDEXES = {
    "scheduling_run_backfill_id_e99d3829": "backfill_id",
    "scheduling_run_cancel_requested_by_id_40c5c6f5": "cancel_requested_by_id",
    "scheduling_run_instance_id_310cdab9": "instance_id",
    "scheduling_run_noted_by_id_2e0c1c2d": "noted_by_id",
    "scheduling_run_parent_id_5be0193a": "parent_id",
    "scheduling_run_requested_by_id_759de9ab": "requested_by_id",
    "scheduling_run_schedule_id_58cd2a0b": "schedule_id",
}
"""The indexes that Django made for the foreign keys, and their columns."""
FIELDS = {
    "backfill": {"related_name": "runs", "to": "scheduling.backfill", "verbose_name": "backfill"},
    "cancel_requested_by": {"related_name": "+", "to": settings.AUTH_USER_MODEL, "verbose_name": "cancelled by"},
    "instance": {
        "related_name": "runs",
        "to": "scheduling.schedulerinstance",
        "verbose_name": "scheduler process",
    },
    "noted_by": {"related_name": "+", "to": settings.AUTH_USER_MODEL, "verbose_name": "noted by"},
    "parent": {
        "related_name": "children",
        "to": "scheduling.run",
        "verbose_name": "caused by run",
        "help_text": "The attempt before a retry or recovery, the predecessor of a follow-up,"
        " the run that is run again.",
    },
    "requested_by": {"related_name": "+", "to": settings.AUTH_USER_MODEL, "verbose_name": "requested by"},
    "schedule": {"related_name": "runs", "to": "scheduling.schedule", "verbose_name": "schedule"},
}


def without_index(name: str, values: dict[str, str]) -> migrations.AlterField:
    """Return the step that takes a foreign key's own index away."""
    field = models.ForeignKey(
        blank=True, null=True, db_index=False, on_delete=django.db.models.deletion.SET_NULL, **values
    )
    return migrations.AlterField(model_name="run", name=name, field=field)


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0002_change_triggers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *(migrations.AddIndex(model_name="run", index=index) for index in ADDED),
        *(migrations.RemoveIndex(model_name="run", name=name) for name in REMOVED),
        migrations.SeparateDatabaseAndState(
            state_operations=[without_index(name, values) for name, values in FIELDS.items()],
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX IF EXISTS {index}",
                    f"CREATE INDEX IF NOT EXISTS {index} ON scheduling_run ({column})",
                )
                for index, column in FIELD_INDEXES.items()
            ],
        ),
    ]
