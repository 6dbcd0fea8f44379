"""The sample news site: six outlets on loopback addresses, with stories of our own that appear by the clock.

The demo, the tests and the benchmarks collect from it, so that none of them needs the network and all of them know the
right answer. Every text is fiction written for this project. The rooms: `content.py` reads the stories, `outlets.py`
names the outlets, `publishing.py` says what is out at which instant, `pages.py` and `feeds.py` render, `documents.py`
puts an address to each rendered thing, `serving.py` speaks HTTP, `server.py` runs it inside a test and `cli.py` from a
shell. Nothing here may import Django: the site stands for the world outside.
"""

from tests.site.outlets import HEALTHY, OUTLETS, Outlet
from tests.site.publishing import PublishedStory, Site
from tests.site.server import SiteServer

__all__ = ["HEALTHY", "OUTLETS", "Outlet", "PublishedStory", "Site", "SiteServer"]
