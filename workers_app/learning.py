"""What models really take, learnt from the heartbeats of workers that have them loaded. Called by `services`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

# The least that any device needed: a CPU may need twice as much as a GPU, and must not keep the model off that.
_LEARN = """
UPDATE workers_app_model m SET measured_mib = told.mib
  FROM unnest(%s::text[], %s::text[], %s::int[]) AS told (task_type, name, mib)
 WHERE m.task_type = told.task_type AND m.name = told.name AND m.runner <> 'simulated'
   AND (m.measured_mib = 0 OR m.measured_mib > told.mib)
"""


def learn(warm: Sequence[Mapping[str, Any]]) -> None:
    """`warm`: task_type, name and memory_mib of each loaded model. Writes only what is new."""
    told = [model for model in warm if model.get("task_type") and model["memory_mib"]]
    if told:
        columns = [[model[name] for model in told] for name in ("task_type", "name", "memory_mib")]
        with connection.cursor() as cursor:
            cursor.execute(_LEARN, columns)
