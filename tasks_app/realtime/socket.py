"""/ws/: one socket from its handshake to its end. Orders come in one after the other; what is subscribed to is sent as
it happens. Without a thread or a connection of the database while nothing does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

import structlog
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.views import APIView

from tasks_app.api.errors import InvalidInput, exception_handler
from tasks_app.api.renderers import to_json
from tasks_app.api.views.tasks import TaskView
from tasks_app.api.views.verbs import CancelView
from tasks_app.realtime import feeds, orders, overviews, reading
from tasks_app.realtime.doorman import Guest
from tasks_app.realtime.events import Position
from tasks_app.realtime.live import Live
from tasks_app.realtime.orders import Order
from tasks_app.realtime.outgoing import Outgoing, Send
from tasks_app.realtime.overviews import Overviews
from tasks_app.realtime.standing import Pass
from tenants_app.identity import Identity

SIGN_IN_SECONDS = 10.0  # that a socket without credentials may stay open
MAX_SUBSCRIPTIONS = 200  # of one socket
GOODBYE_SECONDS = 1.0  # a client that does not read is cut off after that
CLOSED, UNAUTHENTICATED, BROKEN = 1000, 4401, 1011
log = structlog.get_logger(__name__)
Receive = Callable[[], Awaitable[dict[str, Any]]]
Topic = tuple[str, str | None]


class Socket:
    def __init__(self, live: Live, lookers: Overviews, guest: Guest, receive: Receive, send: Send) -> None:
        self._live, self._overviews, self._guest = live, lookers, guest
        self._receive, self._send = receive, send
        self._outgoing = Outgoing(send)
        self._identity: Identity | None = None
        self._feeds: dict[Topic, asyncio.Task[None]] = {}
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until the client leaves, may not stay, or something of ours breaks."""
        try:
            holder = await self._sign_in_by_headers()
        except Exception as error:
            if not await self._refuse(error):
                raise
            return
        await self._send({"type": "websocket.accept"})
        parts = [asyncio.ensure_future(part) for part in (self._outgoing.run(), self._serve(holder), self._end)]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _stop([*parts, *self._feeds.values()])
        for part in parts:
            broken = None if part.cancelled() else part.exception()
            if broken is not None and not isinstance(broken, OSError):
                log.error("socket_broke", exc_info=broken)
                await self._close(BROKEN)
        await self._close(self._end.result() if self._end.done() and not self._end.cancelled() else CLOSED)

    async def _close(self, code: int) -> None:
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._send({"type": "websocket.close", "code": code})
        except (TimeoutError, OSError, RuntimeError):
            return  # it does not read, or is gone

    # ------------------------------------------------------------ who is there

    async def _sign_in_by_headers(self) -> Pass | None:
        """A key that is no good is answered as it is over HTTP; whoever has none may say one later."""
        try:
            return await self._sign_in(self._guest)
        except (AuthenticationFailed, NotAuthenticated):
            if self._guest.has_key:
                raise
            return None

    async def _sign_in(self, guest: Guest) -> Pass:
        self._identity, holder = await self._live.on_thread(guest.authenticate)
        self._guest = guest
        return holder

    async def _refuse(self, error: Exception) -> bool:
        response = exception_handler(error, {"request": self._guest})
        if response is None:
            return False
        headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
        await self._send({"type": "websocket.http.response.start", "status": response.status_code, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": to_json(response.data)})
        return True

    async def _serve(self, holder: Pass | None) -> None:
        if holder is None:
            try:
                async with asyncio.timeout(SIGN_IN_SECONDS):
                    holder = await self._signed_in()
            except TimeoutError:
                self._finish(UNAUTHENTICATED)
        if holder is not None:
            self._live.start()
            with self._live.passes.hold(holder, lambda: self._finish(UNAUTHENTICATED)):
                while (text := await self._next_message()) is not None:
                    await self._obey(text)

    async def _signed_in(self) -> Pass | None:
        """By a message; None if the client has left. One wrong token is enough."""
        while (text := await self._next_message()) is not None:
            try:
                order = orders.parse(text)
                if order.action != "authenticate":
                    raise NotAuthenticated
                holder = await self._sign_in(Guest(self._guest.scope, order.token, self._guest.request_id))
            except InvalidInput as error:
                await self._tell_error(error, None)
            except (AuthenticationFailed, NotAuthenticated) as error:
                await self._tell_error(error, None)
                self._finish(UNAUTHENTICATED)
                return None
            else:
                await self._tell_who(order)
                return holder
        return None

    async def _tell_who(self, order: Order) -> None:
        assert self._identity is not None
        who = {"organization": self._identity.organization.slug, "user": self._identity.username}
        await self._outgoing.put({"type": "authenticated", "ref": order.ref, **who})

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    # ------------------------------------------------------------ what they want

    async def _next_message(self) -> str | bytes | None:
        message = await self._receive()
        return None if message["type"] == "websocket.disconnect" else message.get("text") or message.get("bytes") or b""

    async def _obey(self, text: str | bytes) -> None:
        order = None
        try:
            order = orders.parse(text)
            await self._carry_out(order)
        except Exception as error:
            if not await self._tell_error(error, order):
                raise

    async def _carry_out(self, order: Order) -> None:
        match order:
            case Order(action="subscribe"):
                await self._subscribe(order)
            case Order(action="unsubscribe"):
                if feed := self._feeds.pop(order.topic, None):
                    feed.cancel()
                await self._answer("unsubscribed", order, channel=order.channel, id=order.id)
            case Order(action="cancel", id=str(task_id)):
                task = await self._call(CancelView, "PATCH", task_id=task_id)
                await self._answer(task["status"], order, id=task_id, task=task)
            case Order(action="ping"):
                await self._answer("pong", order)
            case _:
                raise InvalidInput("this socket has signed in already", "action")

    async def _subscribe(self, order: Order) -> None:
        self._feeds = {topic: feed for topic, feed in self._feeds.items() if not feed.done()}
        if old := self._feeds.pop(order.topic, None):
            old.cancel()  # it begins anew, as somebody who lagged wants it
        if len(self._feeds) >= MAX_SUBSCRIPTIONS:
            raise InvalidInput(f"a socket has at most {MAX_SUBSCRIPTIONS} subscriptions", "channel")
        feed = await (self._task_feed(order) if order.channel == "task" else self._overview_feed(order))
        self._feeds[order.topic] = asyncio.create_task(self._guarded(feed))

    async def _task_feed(self, order: Order) -> Coroutine[Any, Any, None]:
        assert order.id is not None
        last = await self._live.on_thread(reading.last_seq, order.id)  # first: what happens meanwhile is told twice
        snapshot = await self._call(TaskView, task_id=order.id)
        after = order.after or Position(last)
        if after.seq > last:
            raise InvalidInput("after is beyond the end of the task's log", "after")
        await self._answer("subscribed", order, channel="task", id=order.id, after=str(after), data=snapshot)
        return feeds.TaskFeed(UUID(order.id), after, self._outgoing).run()

    async def _overview_feed(self, order: Order) -> Coroutine[Any, Any, None]:
        items = await self._live.on_thread(overviews.read, order.channel, self._guest)
        await self._answer("subscribed", order, channel=order.channel, id=None, data=list(items.values()))
        return self._watch(order.channel, items)

    async def _watch(self, channel: str, items: overviews.Items) -> None:
        assert self._identity is not None
        with self._overviews.watch(channel, self._guest, self._identity) as overview:
            await feeds.tell_overview(channel, overview, items, self._outgoing)

    async def _guarded(self, feed: Coroutine[Any, Any, None]) -> None:
        try:
            await feed
        except Exception:
            log.exception("feed_broke")
            self._finish(BROKEN)

    # ------------------------------------------------------------ answers

    async def _call(self, view: type[APIView], method: str = "GET", **arguments: Any) -> Any:
        return await self._live.on_thread(lambda: self._guest.call(view, method, **arguments))

    async def _answer(self, kind: str, order: Order, **told: Any) -> None:
        await self._outgoing.put({"type": kind, "ref": order.ref, **told})

    async def _tell_error(self, error: Exception, order: Order | None) -> bool:
        """False if it is none of those that clients are told of."""
        response = exception_handler(error, {"request": self._guest})
        if response is None:
            return False
        about = {"action": order.action, "id": order.id, "ref": order.ref} if order else {}
        await self._outgoing.put({"type": "error", **about, **response.data})
        return True


async def _stop(tasks: list[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
