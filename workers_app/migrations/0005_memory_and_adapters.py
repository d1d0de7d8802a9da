from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workers_app", "0004_external")]

    operations = [
        migrations.AddField(
            model_name="model",
            name="measured_mib",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="model",
            name="pinned",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="model",
            name="base",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="model",
            name="adapter",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
    ]
