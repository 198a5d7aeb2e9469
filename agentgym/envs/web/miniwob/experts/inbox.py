"""Experts of the pages with an inbox and those with a feed of posts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agentgym.actions import Action
from agentgym.envs.web.miniwob.elements import Element
from agentgym.envs.web.miniwob.experts.scene import Scene, expert

_TASKS = (
    (r"Find the email by (?P<by>.*?) and reply to them with the text \"(?P<message>.*)\"", "reply"),
    (r"Find the email by (?P<by>.*?) and forward that email to (?P<to>.*)\.", "forward"),
    (r"Find the email by (?P<by>.*?) and click the trash icon", "delete"),
    (r"Find the email by (?P<by>.*?) and click the star icon", "star"),
)


def _wanted(scene: Scene) -> Mapping[str, str]:
    if scene.asked:
        return {"task": "forward", **scene.asked}  # the pages that only forward do not name the task
    for pattern, task in _TASKS:
        found = re.search(pattern, scene.goal)
        if found is not None:
            return {"task": task, **found.groupdict()}
    raise LookupError(f"the goal {scene.goal!r} asks for nothing that an inbox can do")


@expert(
    "email-inbox",
    "email-inbox-delete",
    "email-inbox-forward",
    "email-inbox-forward-nl",
    "email-inbox-forward-nl-turk",
    "email-inbox-important",
    "email-inbox-nl-turk",
    "email-inbox-noscroll",
    "email-inbox-reply",
    "email-inbox-star-reply",
)
def inbox(scene: Scene) -> Action:
    """Opens the right mail, then answers or forwards it; stars and deletes in the list."""
    wanted = _wanted(scene)
    task, sender = wanted["task"], wanted["by"]
    for view, close in (("reply", "close-reply"), ("forward", "close-forward")):
        if scene.maybe(id=view) is not None:
            if view != task or not _shows(scene, view, wanted):
                return scene.click(scene.one(id=close))
            return _send(scene, wanted)
    if scene.maybe(id="email") is not None:
        shown = scene.one(cls="email-sender", inside="email").text
        if shown != sender or task not in ("reply", "forward"):
            return scene.click(scene.one(id="close-email"))
        return scene.click(scene.one(cls=f"email-{task}", inside="email"))
    if scene.maybe(id="search") is not None:
        return scene.click(scene.one(id="search-cancel"))
    mail = next(m for m in scene.all(cls="email-thread") if _part(m, "email-sender").text == sender)
    part = {"delete": "trash", "star": "star"}.get(task, "email-body")
    return scene.click(_part(mail, part))


def _part(around: Element, cls: str) -> Element:
    return next(e for e in around.walk() if cls in e.classes)


def _shows(scene: Scene, view: str, wanted: Mapping[str, str]) -> bool:
    """Whether a reply goes to the right person; a forwarded mail does not say whose it was."""
    return view == "forward" or scene.one(cls="reply-sender").text == wanted["by"]


def _send(scene: Scene, wanted: Mapping[str, str]) -> Action:
    if wanted["task"] == "reply":
        return scene.fill_all([(scene.one(id="reply-text"), wanted["message"])], scene.one(id="send-reply"))
    receiver = scene.one("input", cls="forward-sender")
    return scene.fill_all([(receiver, wanted["to"])], scene.one(id="send-forward"))


#: Of social-media: what a control says -> its class.
CONTROLS = {
    "Share via DM": "share",
    "Copy link to Tweet": "copy",
    "Embed Tweet": "embed",
    "Mute": "menu-user",
    "Block": "block-user",
    "Report": "report",
    "Reply": "reply",
    "Retweet": "retweet",
    "Like": "like",
    "Share": "share",
}


def _posts(scene: Scene, user: str) -> list[Element]:
    return [post for post in scene.all(cls="media") if _part(post, "username").text == user]


@expert("social-media")
def social_media(scene: Scene) -> Action:
    """The control itself, or the menu that holds it."""
    (user,) = scene.match(r"For the user (@\S+),")
    post = _posts(scene, user)[0]
    control = _part(post, CONTROLS[scene.quoted[0]])
    return scene.click(control if control.visible else _part(post, "more"))


@expert("social-media-all", "social-media-some")
def social_media_many(scene: Scene) -> Action:
    """Presses the control on as many posts as asked, takes back what was pressed besides, submits."""
    (user,) = scene.match(r"by (@\S+) and then")
    cls = CONTROLS[scene.quoted[0]]
    count = re.search(r"on (\d+) posts?", scene.goal)
    posts = _posts(scene, user)[: int(count[1]) if count else None]
    wanted = {id(_part(post, cls)) for post in posts}
    for control in (e for post in scene.all(cls="media") for e in post.walk()):
        if control.classes & {"reply", "retweet", "like", "share"} and ("active" in control.classes) != (
            id(control) in wanted
        ):
            return scene.click(control)
    return scene.click(scene.one("button", text="Submit"))


@expert("order-food")
def order_food(scene: Scene) -> Action:
    """Counts up or down until the order is the one asked for."""
    named = re.fullmatch(r"Order one of each item: (.*)", scene.goal)
    items = scene.all(cls="food-item")
    if named is not None:
        names = {name.strip() for name in named[1].split(",")}
        wanted = {id(e): int(e.attributes["data-item"].strip() in names) for e in items}
    else:
        number, kind = scene.match(r"Order (\d+) items that are (.*)")
        first = next(e for e in items if any(c.attributes.get("alt") == kind for c in e.walk()))
        wanted = {id(e): int(number) if e is first else 0 for e in items}
    for item in items:
        count = int(item.attributes["data-quantity"])
        if count != wanted[id(item)]:
            return scene.click(_part(item, "add" if count < wanted[id(item)] else "remove"))
    return scene.click(scene.one("button", text="Order!"))
