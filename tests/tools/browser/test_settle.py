"""What counts as busy, event by event."""

from __future__ import annotations

import asyncio
from typing import Any

from agentgym.tools.browser.settle import Activity

MAIN = "F1"


def fed(*events: tuple[str, dict[str, Any]]) -> Activity:
    activity = Activity()
    activity.frame = MAIN

    async def feed() -> None:
        for name, event in events:
            activity.on_event(name, event)

    asyncio.run(feed())
    return activity


def sent(
    number: str, kind: str = "Fetch", url: str = "http://shop.test/x", loader: str = "L1"
) -> tuple[str, dict[str, Any]]:
    event = {"requestId": number, "type": kind, "request": {"url": url}, "loaderId": loader, "frameId": MAIN}
    return "Network.requestWillBeSent", event


def of(name: str, **event: Any) -> tuple[str, dict[str, Any]]:
    return name, {"frameId": MAIN, **event}


def test_a_request_is_open_until_it_is_answered_or_failed() -> None:
    assert not fed().busy
    assert fed(sent("1")).busy
    for end in ("loadingFinished", "loadingFailed", "requestServedFromCache"):
        assert not fed(sent("1"), (f"Network.{end}", {"requestId": "1"})).busy
    assert fed(sent("1"), sent("2"), ("Network.loadingFinished", {"requestId": "1"})).busy


def test_what_scripts_were_answered_is_kept_until_the_next_action_or_document() -> None:
    ends = [("Network.loadingFinished", {"requestId": n}) for n in "123"]
    elsewhere = sent("3")
    elsewhere[1]["frameId"] = "an inner frame"
    activity = fed(sent("1"), sent("2", "Image"), elsewhere, *ends)
    assert activity.answered == ["http://shop.test/x"]
    failed = ("Network.loadingFailed", {"requestId": "1"})
    assert fed(sent("1"), failed).answered == []
    shown = ("Page.frameNavigated", {"frame": {"id": "F2", "loaderId": "L2"}})
    assert fed(sent("1"), ends[0], shown).answered == []
    activity.begin()
    assert activity.answered == []


def test_what_never_ends_does_not_count() -> None:
    for kind in ("EventSource", "WebSocket", "Media", "Ping"):
        assert not fed(sent("1", kind)).busy
    assert not fed(sent("1", url="data:image/png,x")).busy
    stream = {"requestId": "1", "response": {"mimeType": "text/event-stream"}}
    assert not fed(sent("1"), ("Network.responseReceived", stream)).busy


def test_a_navigation_is_under_way_from_the_wish_to_the_end_of_loading() -> None:
    asked = of("Page.frameRequestedNavigation", disposition="currentTab")
    begun, ended = of("Page.frameStartedLoading"), of("Page.frameStoppedLoading")
    shown = ("Page.frameNavigated", {"frame": {"id": "F2", "loaderId": "L2"}})
    assert fed(asked).moving
    assert fed(asked, begun).moving
    after = fed(asked, begun, sent("1"), sent("2", loader="L2"), shown)
    assert (after.documents, after.frame, list(after.requests)) == (1, "F2", ["2"])
    assert not fed(asked, begun, ended).moving
    assert not fed(of("Page.frameRequestedNavigation", disposition="newTab")).moving
    assert not fed(of("Page.frameScheduledNavigation", delay=5)).moving
    assert not fed(of("Page.frameScheduledNavigation", delay=0), of("Page.frameClearedScheduledNavigation")).moving
    assert not fed(("Page.frameStartedLoading", {"frameId": "an inner frame"})).moving


def test_waiting_ends_with_the_last_answer_at_the_deadline_or_when_a_request_is_forgotten() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        activity = Activity()
        activity.frame = MAIN
        activity.on_event(*sent("1"))
        now = loop.time()
        assert not await activity.idle(now + 0.1, now + 0.1, lambda: 1)
        loop.call_later(0.05, activity.on_event, "Network.loadingFinished", {"requestId": "1"})
        now = loop.time()
        assert await activity.idle(now + 5, now + 5, lambda: 1)
        assert loop.time() - now < 2
        activity.on_event(*sent("2"))
        assert await activity.idle(now + 5, now + 5, lambda: 0)
        activity.on_event(*of("Page.frameRequestedNavigation"))
        assert await activity.idle(now + 5, now + 5, lambda: 0)
        activity.on_event(*of("Page.frameStartedLoading"))
        assert not await activity.idle(now, loop.time() + 0.1, lambda: 0)

    asyncio.run(work())
