"""A scraper of one's own, as an app brings it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from django import forms

from scrapers.kinds import Item, OptionsForm, Poll, Scraper, scraper


class LinesForm(OptionsForm):
    most = forms.IntegerField(initial=10, min_value=1)
    fail = forms.BooleanField(required=False)


@scraper("lines", label="Addresses, one a line")
class Lines(Scraper):
    form = LinesForm

    async def scrape(self, poll: Poll) -> AsyncIterator[Item]:
        answer = await poll.first(accept="text/plain")
        for line in answer.body.decode().split()[: poll.options["most"]]:
            yield Item(guid=line, url=line, title=f"Line {line[-1]}", text="Text of its own." if "own" in line else "")
        if poll.options["fail"]:
            raise ZeroDivisionError("a bug of the scraper")
