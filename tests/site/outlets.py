"""The six outlets and their addresses; what a healthy, a broken, a slow and a forbidden one is called.

Linux answers on all of 127.0.0.0/8 with no set-up, so each outlet is a host of its own to politeness rules.
"""

from dataclasses import dataclass
from typing import Final

CONTROL_ADDRESS: Final = "127.0.0.10"
DEFAULT_PORT: Final = 8700

FEED_PATHS: Final = {"rss": "/feed.rss", "atom": "/feed.atom", "json": "/feed.json"}
FEED_TYPES: Final = {"rss": "application/rss+xml", "atom": "application/atom+xml", "json": "application/feed+json"}


@dataclass(frozen=True, slots=True)
class Outlet:
    """One outlet: its folder of stories, its address, its feed format and how it behaves."""

    key: str
    name: str
    tagline: str
    address: str
    domain: str  # stands in feed ids only, which must not change with the port
    feed: str = "rss"
    template: str = "plain"
    tracking: str = ""  # the query that feed links carry and canonical addresses do not
    sitemaps: bool = False
    broken: bool = False
    slow: bool = False
    forbidden: bool = False

    @property
    def feed_path(self) -> str:
        """Return the path of the feed."""
        return FEED_PATHS[self.feed]

    def base(self, port: int) -> str:
        """Return the outlet's origin, with no slash at its end."""
        return f"http://{self.address}:{port}"


HEALTHY: Final = (
    Outlet(
        key="courier",
        name="The Harbour Courier",
        tagline="News from the quays since the first ferry",
        address="127.0.0.11",
        domain="harbour-courier.example",
        feed="rss",
        template="courier",
        tracking="utm_source=rss&utm_medium=feed",
        sitemaps=True,
    ),
    Outlet(
        key="upland",
        name="Upland Review",
        tagline="Reporting from high ground",
        address="127.0.0.12",
        domain="upland-review.example",
        feed="atom",
        template="upland",
        sitemaps=True,
    ),
    Outlet(
        key="signal",
        name="Signal & Field",
        tagline="Science, technology and the people who use them",
        address="127.0.0.13",
        domain="signal-field.example",
        feed="json",
        template="signal",
        sitemaps=True,
    ),
)

BROKEN: Final = Outlet(
    "broken", "Broken Press", "Back in a moment", "127.0.0.14", domain="broken-press.example", broken=True
)
SLOW: Final = Outlet("slow", "Slow Gazette", "All in good time", "127.0.0.15", domain="slow-gazette.example", slow=True)
LEDGER: Final = Outlet(
    "ledger",
    "The Private Ledger",
    "For subscribers only",
    "127.0.0.16",
    domain="private-ledger.example",
    forbidden=True,
)

OUTLETS: Final = {outlet.key: outlet for outlet in (*HEALTHY, BROKEN, SLOW, LEDGER)}
BY_ADDRESS: Final = {outlet.address: outlet for outlet in OUTLETS.values()}
ADDRESSES: Final = (CONTROL_ADDRESS, *BY_ADDRESS)
