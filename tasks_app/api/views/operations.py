"""Numbers for operators: metrics, workers, queue. The workers' are of all organizations, and name none of them."""

from __future__ import annotations

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import metrics, selectors
from tasks_app.api import query
from tasks_app.api.access import identity_of
from tasks_app.api.documents import operations as documents
from tasks_app.scheduling import leader
from workers_app import health, stats
from workers_app.selectors import present_workers
from workers_app.stats import Load, Summary


class MetricsView(APIView):
    @documents.metrics
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, {"window"})
        window = query.choice(request.query_params, "window", metrics.WINDOWS) or "all"
        return Response(metrics.read(identity_of(request), window))


class WorkersHealthView(APIView):
    @documents.workers_health
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        workers, now = list(present_workers()), timezone.now()
        summary = Summary.of(workers, now)
        leading = leader.exists()
        return Response(
            {
                "status": summary.word(leading),
                "total_workers": summary.total,
                "online_workers": summary.online,
                "late_workers": summary.late,
                "lost_workers": summary.lost,
                "paused_workers": summary.paused,
                "external_workers": summary.external,
                "workers": {row.name: {"status": health.of(row, now), "external": row.external} for row in workers},
                "queue_info": selectors.queue_info(),
                "scheduler": {"leader": leading},
            }
        )


class WorkersStatsView(APIView):
    @documents.workers_stats
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        workers, loads, now = list(present_workers()), selectors.loads(), timezone.now()
        summary = Summary.of(workers, now)
        return Response(
            {
                "total_workers": summary.total,
                "online_workers": summary.online,
                "workers": {row.name: stats.of_worker(row, loads.get(row.name, Load()), now) for row in workers},
                "queue_info": selectors.queue_info(),
            }
        )


class WorkersView(APIView):
    @documents.list_workers
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        loads, now = selectors.loads(), timezone.now()
        rows = [stats.of_worker(row, loads.get(row.name, Load()), now) for row in present_workers()]
        return Response({"results": rows})
