"""The body of POST /v1/batches."""

from __future__ import annotations

from tasks_app.openai.requests.fields import Only, same
from tasks_app.schemas.request import TASK_REQUEST
from tasks_app.schemas.strict import Choice, Strict, Text

ENDPOINTS = ("/v1/chat/completions", "/v1/completions")


class BatchCreateRequest(Strict):
    input_file_id = Text(1, 100)
    endpoint = Choice(ENDPOINTS)
    completion_window = Choice(("24h",))
    metadata = same(TASK_REQUEST.fields["metadata"])
    output_expires_after = Only()


BATCH_CREATE_REQUEST = BatchCreateRequest()
