"""The only writers of a status: each is one guarded UPDATE that also counts `last_seq`, and its events, in one commit.

Losing a race is a return value (the task is just not among the rows that come back); breaking a rule is an exception.
All take many tasks at once, because a round of the scheduler and a beat of a worker have many at hand.
Only PostgreSQL's clock decides anything.
"""

from tasks_app.transitions.cancelling import request_cancel
from tasks_app.transitions.finishing import Finish, finish
from tasks_app.transitions.placing import Claim, Claimed, claim, dispatch, take_back
from tasks_app.transitions.ranking import change_priority
from tasks_app.transitions.rescuing import expire, rescue, rescue_from_earlier

__all__ = [
    "Claim",
    "Claimed",
    "Finish",
    "change_priority",
    "claim",
    "dispatch",
    "expire",
    "finish",
    "request_cancel",
    "rescue",
    "rescue_from_earlier",
    "take_back",
]
