"""What models really take, learnt from the heartbeats of workers that have them loaded. Called by `services`.

Workers tell of an adapter what it takes beside its base; what is kept is both together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

# The least that any device needed: a CPU may need twice as much as a GPU, and must not keep the model off that.
_LEARN = """
UPDATE workers_app_model m SET measured_mib = needed.mib
  FROM unnest(%s::text[], %s::text[], %s::int[]) AS told (task_type, name, mib)
  JOIN workers_app_model own ON own.task_type = told.task_type AND own.name = told.name AND own.runner <> 'simulated'
  LEFT JOIN workers_app_model base ON base.task_type = own.task_type AND base.name = own.base AND own.adapter <> ''
 CROSS JOIN LATERAL (SELECT coalesce(nullif(base.memory_mib, 0), base.measured_mib, 0) AS mib) below
 CROSS JOIN LATERAL (SELECT told.mib + below.mib AS mib) needed
 WHERE m.id = own.id AND (own.adapter = '' OR below.mib > 0) AND (m.measured_mib = 0 OR m.measured_mib > needed.mib)
"""


def learn(warm: Sequence[Mapping[str, Any]]) -> None:
    """`warm`: task_type, name and memory_mib of each loaded model. Writes only what is new."""
    told = [model for model in warm if model.get("task_type") and model["memory_mib"]]
    if told:
        columns = [[model[name] for model in told] for name in ("task_type", "name", "memory_mib")]
        with connection.cursor() as cursor:
            cursor.execute(_LEARN, columns)
