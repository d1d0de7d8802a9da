from django.core.validators import MinValueValidator
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workers_app", "0005_memory_and_adapters")]

    operations = [
        migrations.AddField(
            "model",
            "max_per_worker",
            models.PositiveIntegerField(blank=True, null=True, validators=[MinValueValidator(1)]),
        ),
    ]
