from django.db import migrations


class Migration(migrations.Migration):
    """Room on each page, so that progress and lease renewals stay HOT updates, and a vacuum that keeps up with them."""

    dependencies = [("tasks_app", "0001_initial"), ("workers_app", "0001_initial")]
    operations = [
        migrations.RunSQL(
            """
            ALTER TABLE tasks_app_task SET (
                fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
            ALTER TABLE workers_app_worker SET (fillfactor = 50);
            """,
            reverse_sql="""
            ALTER TABLE tasks_app_task RESET (
                fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay);
            ALTER TABLE workers_app_worker RESET (fillfactor);
            """,
        )
    ]
