"""A call that is answered when its task has ended: the first look submits it, the later ones see how far it is.

Between two looks nothing is held but the request itself (`realtime.holding`). A client that leaves meanwhile cancels
the task (`leaving`), and so does the end of the time that a call may take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tasks_app import selectors, services
from tasks_app.api import query
from tasks_app.api.access import identity_of
from tasks_app.api.errors import NotFound
from tasks_app.openai import failures, leaving
from tasks_app.openai.naming import named_theirs
from tasks_app.openai.negotiation import WhateverIsAccepted
from tasks_app.realtime.holding import hold_while_unchanged
from tasks_app.schemas import submission
from tasks_app.schemas.strict import Strict
from tasks_app.selectors import Shown
from tasks_app.states import FINAL, Status
from tenants_app.identity import Identity


@dataclass(frozen=True, slots=True)
class Call:
    """What the first look made of a request, for the later ones."""

    asked: Mapping[str, Any]
    task_id: UUID


class HeldView(APIView):
    content_negotiation_class = WhateverIsAccepted
    body: Strict

    def body_of(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the task, as of POST /tasks/."""
        raise NotImplementedError

    def completed(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        """The answer of a task that has completed."""
        raise NotImplementedError

    def streamed(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        """The answer to a request with `stream: true`, where that is taken."""
        raise NotImplementedError

    def answer(self, request: Request) -> HttpResponseBase:
        query.refuse_unknown(request.query_params, ())
        call: Call | None = getattr(request._request, "openai_call", None)
        shown = _found(request, call.task_id) if call else self._begin(request)
        call = request._request.openai_call  # type: ignore[attr-defined]
        response = self._look(request, shown, call.asked)
        response["X-Task-Id"] = str(call.task_id)
        return response

    def _begin(self, request: Request) -> Shown:
        """A new task, whose caller is known to wait for it."""
        asked, identity = self.body.run_validation(request.data), identity_of(request)
        shown = submitted(identity, self.body_of(asked))
        request._request.openai_call = Call(asked, shown.task.pk)  # type: ignore[attr-defined]
        leaving.cancels(request._request, shown.task, identity.username)
        return shown

    def _look(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        if asked.get("stream"):
            return self.streamed(request, shown, asked)
        if shown.task.status not in FINAL:
            return _held(request, shown) or self._out_of_time(request, shown, asked)
        if shown.task.status == Status.COMPLETED:
            return self.completed(request, shown, asked)
        return failures.respond(request._request, failures.failure_of(shown.task))

    def _out_of_time(self, request: Request, shown: Shown, asked: Mapping[str, Any]) -> HttpResponseBase:
        """The task is cancelled, unless it completed this very moment."""
        services.cancel(shown.task, by=identity_of(request).username)
        if shown.task.status == Status.COMPLETED:
            return self.completed(request, _found(request, shown.task.pk), asked)
        return _timed_out(request)


def submitted(identity: Identity, body: Mapping[str, Any]) -> Shown:
    """The new task. It expires if it has not started when its caller has stopped waiting, were nobody to say so."""
    with named_theirs(body["task_type"]):
        task = submission.submit(identity, {"start_timeout": settings.OPENAI_WAIT_SECONDS, **body})
    return selectors.submitted(identity, task)


def _found(request: Request, task_id: UUID) -> Shown:
    shown = selectors.find_task(identity_of(request), task_id)
    if shown is None:
        raise NotFound("The task has been deleted.")
    return shown


def _held(request: Request, shown: Shown) -> Response | None:
    """None if its time is over. What is held here is only ever sent by a server that cannot hold."""
    response = _timed_out(request)
    hold_while_unchanged(request, response, shown.task, settings.OPENAI_WAIT_SECONDS, until_ended=True)
    return response if hasattr(response, "hold") else None


def _timed_out(request: Request) -> Response:
    return failures.respond(request._request, failures.timed_out(settings.OPENAI_WAIT_SECONDS))
