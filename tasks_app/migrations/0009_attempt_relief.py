from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0006_webhooks")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="relief",
            field=models.JSONField(db_default=[], default=list),
        ),
    ]
