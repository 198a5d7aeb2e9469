"""What the tracker is about and who works with it: two sets of words that share nothing, one of them held out."""

from __future__ import annotations

from dataclasses import dataclass

STATUSES = ("Open", "In progress", "Blocked")
CLOSED = "Closed"
PRIORITIES = ("Low", "Normal", "High", "Urgent")
RESOLUTIONS = ("Fixed", "Duplicate", "Will not fix")
ROLES = ("Developer", "Tester", "Designer")


@dataclass(frozen=True)
class Content:
    """Everything of which train and held-out databases take different words; the first of `people` is signed in."""

    projects: tuple[tuple[str, str], ...]
    people: tuple[str, ...]
    components: tuple[str, ...]
    problems: tuple[str, ...]
    labels: tuple[str, ...]
    spare_labels: tuple[str, ...]
    milestones: tuple[str, ...]
    details: tuple[str, ...]
    remarks: tuple[str, ...]


TRAIN = Content(
    projects=(("WEB", "Website"), ("APP", "Phone app"), ("PAY", "Payments")),
    people=("Alice Moor", "Ben Tull", "Carla Dunn", "David Okoye", "Elena Ruiz", "Farid Aziz", "Gina Pohl"),
    components=("Login page", "Search box", "Invoice mail", "Start screen", "Card form", "Photo upload", "Menu bar"),
    problems=("loads too slowly", "shows the wrong date", "is cut off", "crashes when empty", "ignores the language"),
    labels=("bug", "design", "customer", "backend", "quick", "docs"),
    spare_labels=("frontend", "legal", "speed"),
    milestones=("Spring release", "Summer release", "Autumn release"),
    details=(
        "Seen on two machines since the last update .",
        "A customer told us about it on the phone .",
        "It happens every time the cache is cold .",
        "The team agreed to look at it soon .",
    ),
    remarks=("I can see it too .", "Let us talk about it on Monday .", "This needs a test .", "Any news here ?"),
)

HELDOUT = Content(
    projects=(("LAB", "Laboratory"), ("FLT", "Fleet"), ("HRM", "Personnel")),
    people=("Ivan Petrov", "Julia Sand", "Kofi Mensah", "Lara Brandt", "Milo Jensen", "Nadia Karim", "Otto Vance"),
    components=("Shift plan", "Fuel report", "Badge reader", "Sample list", "Route map", "Holiday form", "Audit log"),
    problems=("prints blank pages", "counts twice", "forgets its filter", "hangs on Mondays", "mixes up the units"),
    labels=("defect", "layout", "partner", "storage", "easy", "manual"),
    spare_labels=("sensors", "privacy", "export"),
    milestones=("First quarter", "Second quarter", "Third quarter"),
    details=(
        "Reported by the night shift twice this week .",
        "The old version did not do that .",
        "Only people with an old badge are affected .",
        "We have a workaround but nobody likes it .",
    ),
    remarks=(
        "Same at our site .",
        "I will ask the vendor .",
        "Please add a picture .",
        "Still there after the patch .",
    ),
)
