"""What the shop sells and who buys: two sets of names that share nothing, one for training, one held out."""

from __future__ import annotations

from dataclasses import dataclass

#: Sizes of what is worn; everything else has one size, written as the empty string.
SIZES = ("S", "M", "L", "XL")
#: The size of things that have only one.
ONE_SIZE = ""
#: Days after delivery in which things can be returned.
RETURN_DAYS = 30
#: Cost of shipping in cents.
SHIPPING = {"Standard": 400, "Express": 1200, "Pick up": 0}


@dataclass(frozen=True)
class Category:
    """A shelf of the shop.

    Attributes:
        name: What the pages call it.
        kinds: What lies on it.
        low: The lowest price, in whole dollars.
        high: The highest.
        worn: Its products come in `SIZES`.
    """

    name: str
    kinds: tuple[str, ...]
    low: int
    high: int
    worn: bool = False


@dataclass(frozen=True)
class Content:
    """Everything of which train and held-out databases take different words."""

    categories: tuple[Category, ...]
    brands: tuple[str, ...]
    colours: tuple[str, ...]
    people: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    labels: tuple[str, ...]
    coupons: tuple[str, ...]
    praise: tuple[str, ...]
    blame: tuple[str, ...]


TRAIN = Content(
    categories=(
        Category("Kitchen", ("kettle", "frying pan", "teapot", "bread knife", "mixing bowl", "coffee mill"), 12, 90),
        Category("Outdoor", ("tent", "backpack", "lantern", "camping stove", "hammock", "water bottle"), 15, 180),
        Category("Office", ("desk lamp", "notebook", "stapler", "office chair", "paper tray", "pen set"), 5, 160),
        Category("Clothing", ("rain jacket", "sweater", "shirt", "scarf coat", "vest", "hoodie"), 18, 140, worn=True),
    ),
    brands=("Alder", "Brynmoor", "Corvo", "Dunmere", "Eastvale", "Farrow", "Glenta", "Hadley"),
    colours=("blue", "red", "green", "black"),
    people=("Anna Berg", "Luis Ortega", "Mei Tanaka", "Omar Haddad", "Greta Lind", "Paul Novak", "Ines Costa"),
    streets=("Mill Lane", "Harbour Road", "Station Street", "Castle Hill", "Orchard Way", "Bridge Street"),
    cities=("Oslo", "Porto", "Leeds", "Graz", "Lyon", "Ghent"),
    labels=("Home", "Work", "Parents", "Cabin"),
    coupons=("SPRING", "HELLO", "BASKET", "FRIENDS", "GARDEN"),
    praise=(
        "does what it should and looks good",
        "better than the one it replaced",
        "well made and arrived early",
        "worth every cent",
    ),
    blame=(
        "broke after two weeks",
        "smaller than it looks in the picture",
        "the colour faded at once",
        "works but feels cheap",
    ),
)

HELDOUT = Content(
    categories=(
        Category("Garden", ("spade", "watering can", "rake", "plant pot", "pruning shears", "wheelbarrow"), 9, 130),
        Category("Music", ("ukulele", "metronome", "tambourine", "music stand", "harmonica", "drum pad"), 8, 170),
        Category("Travel", ("suitcase", "neck pillow", "toiletry bag", "adapter", "day bag", "umbrella"), 6, 150),
        Category(
            "Sportswear",
            ("running vest", "tracksuit", "cycling top", "polo", "leggings", "shorts"),
            14,
            120,
            worn=True,
        ),
    ),
    brands=("Ivarsson", "Jarrow", "Kestrel", "Lomond", "Marlow", "Nettle", "Okeford", "Penrith"),
    colours=("purple", "white", "orange", "grey"),
    people=("Nora Quist", "Ravi Menon", "Clara Weiss", "Tomas Horak", "Yusuf Demir", "Emma Falk", "Hugo Blanc"),
    streets=("Chapel Row", "Market Square", "Forest Avenue", "Lake View", "Tower Street", "Quarry Road"),
    cities=("Turku", "Siena", "Cork", "Basel", "Nantes", "Delft"),
    labels=("Flat", "Studio", "Sister", "Boathouse"),
    coupons=("AUTUMN", "WELCOME", "BUNDLE", "CIRCLE", "MEADOW"),
    praise=(
        "exactly as described and very handy",
        "my whole family wants one now",
        "solid and easy to clean",
        "a pleasure to use",
    ),
    blame=(
        "one part was missing",
        "the seam came apart",
        "heavier than expected",
        "not what the page promised",
    ),
)

SUMMARIES = {5: "Excellent", 4: "Good", 3: "Fair", 2: "Weak", 1: "Poor"}
REASONS = ("Damaged", "Wrong size", "Wrong colour", "Not as described", "No longer needed")
RESOLUTIONS = ("Refund", "Exchange", "Store credit")
