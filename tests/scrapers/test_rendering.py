"""Pages that need JavaScript, in Debian's Chromium; it connects to nothing by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scrapers.fetch import rendering
from scrapers.fetch.failures import FailureClass
from scrapers.models import Article
from tests.scrapers.test_collect import PARAGRAPH, feed, item
from tests.scrapers.test_source_settings import source

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.anydb]

SCRIPT = """
const add = text => {
  const p = document.createElement('p');
  p.textContent = text;
  document.querySelector('article').append(p);
};
fetch('/data.json').then(answer => answer.json()).then(data => data.forEach(add));
fetch('OTHER').then(() => add('reached the other host')).catch(() => add('was refused'));
new Image().src = '/picture.png';
"""


@pytest.mark.browser
@pytest.mark.skipif(bool(rendering.missing()), reason=rendering.missing())
def test_text_that_scripts_fetch_is_stored_and_private_addresses_are_not_asked(
    serve: Any, collect_news: Any, settings: Any
) -> None:
    server, other = serve("127.0.0.51"), serve("127.0.0.52")
    settings.NEWSS_ALLOW_NETWORKS = ["127.0.0.51/32"]
    other.answer("/secret", "x", Access_Control_Allow_Origin="*")
    server.answer("/feed", feed(item("/1", "Tide by script", "1")))
    server.answer("/1", "<html><body><article></article><script src='/app.js'></script></body></html>")
    server.answer("/app.js", SCRIPT.replace("OTHER", other.url("/secret")), Content_Type="text/javascript")
    paragraphs = [f"{number}. {PARAGRAPH}" for number in range(8)]
    server.answer("/data.json", json.dumps(paragraphs), Content_Type="application/json")
    source(url=server.url("/feed"), javascript="yes", text_selector="article")
    collected = collect_news()
    assert collected.of("Small").new == 1, collected.log
    text = Article.objects.get().text
    assert all(paragraph.strip() in text for paragraph in paragraphs)
    assert "was refused" in text and other.asked == []
    assert server.paths().count("/1") == 1 and "/picture.png" not in server.paths()


def test_where_playwright_is_missing_the_source_says_what_to_do(
    serve: Any, collect_news: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setattr(rendering.importlib.util, "find_spec", lambda name: None)
    source(url=server.url("/feed"), javascript="yes")
    result = collect_news().of("Small")
    assert (result.failure_class, server.asked) == (FailureClass.NO_BROWSER, [])
    assert "pip install playwright" in result.error
