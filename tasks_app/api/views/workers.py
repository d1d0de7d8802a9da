"""/workers/ and /tasks/workers/…: who can work and how they are. They serve all organizations and name none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import operating, selectors
from tasks_app.api import query
from tasks_app.api.access import identity_of, operator_of
from tasks_app.api.documents import workers as documents
from tasks_app.api.errors import NotFound
from tasks_app.api.shapes.workers import WorkerOrder
from tasks_app.scheduling import leader
from tenants_app.roles import Scope
from workers_app import health, stats
from workers_app.models import Worker, WorkerState
from workers_app.selectors import find_worker, present_workers
from workers_app.stats import Load, Summary

ORDER = WorkerOrder()


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
                "draining_workers": summary.draining,
                "quarantined_workers": summary.quarantined,
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
        workers = list(present_workers())
        summary = Summary.of(workers, timezone.now())
        return Response(
            {
                "total_workers": summary.total,
                "online_workers": summary.online,
                "workers": {row["name"]: row for row in _rendered(request, workers)},
                "queue_info": selectors.queue_info(),
            }
        )


class WorkersView(APIView):
    @documents.list_workers
    def get(self, request: Request) -> Response:
        query.refuse_unknown(request.query_params, ())
        return Response({"results": _rendered(request, present_workers())})


class WorkerView(APIView):
    needs = {"PATCH": Scope.OPERATE}

    @documents.read_worker
    def get(self, request: Request, name: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        return _answer(request, find_worker(name), name)

    @documents.steer_worker
    def patch(self, request: Request, name: str) -> Response:
        query.refuse_unknown(request.query_params, ())
        operator = operator_of(request)
        order = ORDER.run_validation(request.data)
        worker = operating.set_worker_state(name, WorkerState(order["state"]), operator.username, order["reason"])
        return _answer(request, worker, name)


def _answer(request: Request, worker: Worker | None, name: str) -> Response:
    if worker is None:
        raise NotFound(f"There is no worker {name}.")
    return Response(_rendered(request, [worker])[0])


def _rendered(request: Request, workers: Iterable[Worker]) -> list[dict[str, Any]]:
    loads, now, to_operator = selectors.loads(), timezone.now(), identity_of(request).may_operate
    return [stats.of_worker(row, loads.get(row.name, Load()), now, to_operator) for row in workers]
