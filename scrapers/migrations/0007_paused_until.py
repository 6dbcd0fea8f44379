from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("scrapers", "0006_secret_addresses")]

    operations = [
        # It may be null, so SQLite adds a column instead of making the table anew.
        migrations.AddField(
            model_name="source",
            name="paused_until",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="Empty: until somebody resumes it.",
                null=True,
                verbose_name="paused until",
            ),
        ),
    ]
