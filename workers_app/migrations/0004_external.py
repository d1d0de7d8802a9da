from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workers_app", "0003_operating")]

    operations = [
        migrations.AddField(
            model_name="worker",
            name="external",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="worker",
            name="abandoned",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
