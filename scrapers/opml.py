"""OPML, the format in which people carry lists of feeds from one reader to another (http://opml.org/spec2.opml).

Reading forgives what real files get wrong; folders become tags. What we write comes back in full: attributes of our own
name space carry what OPML has no word for. Secrets never leave the database this way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.http import http_date
from django.utils.translation import gettext as _t
from lxml import etree

from scheduling.models import Tag
from scrapers.models import Source
from scrapers.portable import POLLING_FIELDS, SOURCE_FIELDS, fill, plain, to_be_typed, without_masks
from scrapers.secrets import MASK, without_secrets, without_tokens

NAMESPACE = "urn:newss:opml"
MAX_BYTES = 10 * 1024 * 1024
"""A larger file is refused; 1,000 feeds take some 300 kB."""
MAX_OUTLINES = 20_000
NAME_LENGTH = 200
TAG_LENGTH = 60
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STRAY_AMPERSAND = re.compile(rb"&(?!#?\w+;)")
#: Some readers write feed://example.org/rss or feed:https://example.org/rss.
_FEED_SCHEME = re.compile(r"^feed:(?://(?=[^/])|(https?://))", re.IGNORECASE)
_URL_ATTRIBUTES = ("xmlUrl", "xmlurl", "xmlURL", "url")

T = TypeVar("T", list, dict)  # type: ignore[type-arg]

ET.register_namespace("newss", NAMESPACE)


class OpmlError(Exception):
    """The file cannot be read as OPML; the message says why."""


@dataclass(frozen=True)
class Outline:
    """One source of an OPML file: what it says, and in which folders it lies."""

    name: str
    url: str
    tags: tuple[str, ...] = ()
    kind: str = "feed"
    enabled: bool = True
    options: dict[str, object] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    #: How it is polled: fields of the source by name, where they are not at their default.
    polling: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """What became of one outline, for the report: `why` it was not imported, or what is `todo` where it was."""

    name: str
    url: str
    why: str = ""
    todo: str = ""


@dataclass
class Report:
    """What an import did: the sources that are new, those that were there already, and those that were refused."""

    added: list[Line] = field(default_factory=list)
    known: list[Line] = field(default_factory=list)
    refused: list[Line] = field(default_factory=list)


def read(data: bytes) -> list[Outline]:
    """Return the sources of an OPML file, in order; raises `OpmlError` for something else.

    A broken file is read as far as it goes. Entities are refused, since they can grow without end.
    """
    if len(data) > MAX_BYTES:
        raise OpmlError(_t("The file is larger than %(limit)d MB.") % {"limit": MAX_BYTES // 1024**2})
    root = _root(data)
    if root is None or _local(root) != "opml":
        raise OpmlError(_t("This is no OPML file: its outermost element is not “opml”."))
    body = next((child for child in root if _local(child) == "body"), None)
    outlines = list(_outlines(body, ())) if body is not None else []
    if not outlines:
        raise OpmlError(_t("The file lists no feeds."))
    if len(outlines) > MAX_OUTLINES:
        raise OpmlError(_t("The file lists more than %(limit)d feeds.") % {"limit": MAX_OUTLINES})
    return outlines


def _root(data: bytes) -> ET.Element | None:
    try:
        root: ET.Element = fromstring(data)
    except DefusedXmlException as error:
        raise OpmlError(_t("The file defines entities; such files are not read.")) from error
    except (ET.ParseError, ValueError, LookupError):
        return _recovered(data)
    return root


def _recovered(data: bytes) -> ET.Element | None:
    """Return what a forgiving parser makes of a broken file, None for nothing.

    What is broken is mostly an address whose ampersands are not escaped.
    """
    data = _STRAY_AMPERSAND.sub(b"&amp;", data)
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    if root is None:
        return None
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and next(dtd.iterentities(), None) is not None:
        raise OpmlError(_t("The file defines entities; such files are not read."))
    # Only elements and their attributes are looked at; what else lxml recovered may be no XML at all.
    copies: dict[etree._Element, ET.Element] = {}
    for element in root.iter(etree.Element):
        parent = copies.get(element.getparent())
        attributes = {str(name): str(value) for name, value in element.attrib.items()}
        copies[element] = (
            ET.Element(element.tag, attributes) if parent is None else ET.SubElement(parent, element.tag, attributes)
        )
    return copies.get(root)


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _outlines(parent: ET.Element, folders: tuple[str, ...]) -> Iterator[Outline]:
    waiting = [(child, folders) for child in reversed(parent)]
    while waiting:
        element, inside = waiting.pop()
        if _local(element) != "outline":
            continue
        url = next((value.strip() for name in _URL_ATTRIBUTES if (value := element.get(name, "")).strip()), "")
        url = _FEED_SCHEME.sub(lambda found: found[1] or "http://", url)
        name = " ".join((element.get("title") or element.get("text") or "").split())
        if url:
            yield _outline(element, name, url, inside)
        within = (*inside, name) if name and not url else inside
        waiting += [(child, within) for child in reversed(element)]


def _outline(element: ET.Element, name: str, url: str, folders: tuple[str, ...]) -> Outline:
    categories = [part for text in element.get("category", "").split(",") for part in text.strip().split("/")]
    own = _own(element, "tags", list)
    tags = [" ".join(str(tag).split())[:TAG_LENGTH] for tag in own or (*folders, *categories)]
    return Outline(
        name=name or _host(url) or url,
        url=url,
        tags=tuple(dict.fromkeys(tag for tag in tags if tag)),
        kind=element.get(f"{{{NAMESPACE}}}kind", "feed"),
        enabled=element.get(f"{{{NAMESPACE}}}enabled", "yes") != "no",
        # A masked secret stands for nothing here; what must have one is refused and named.
        options={name: value for name, value in _own(element, "options", dict).items() if value != MASK},
        settings=_own(element, "settings", dict),
        polling=_own(element, "polling", dict),
    )


def _host(url: str) -> str:
    """Return the host in an address, nothing where it cannot be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _own(element: ET.Element, name: str, kind: type[T]) -> T:
    """Return what an attribute of our own holds as JSON; an empty value for anything else."""
    try:
        value = json.loads(element.get(f"{{{NAMESPACE}}}{name}") or "null")
    except ValueError:
        return kind()
    return value if isinstance(value, kind) else kind()


@transaction.atomic
def import_outlines(outlines: Iterable[Outline]) -> Report:
    """Store the sources that are not there yet; return what became of each.

    1. An address that is there already, or comes twice, is not stored again; its tags are added.
    2. What the model refuses is reported with the reason, and stops nothing else.
    3. A name that is taken gets its host, then a number, behind it.
    """
    report = Report()
    known = dict(Source.objects.values_list("url", "pk"))
    names = set(Source.objects.values_list("name", flat=True))
    wanted: dict[str, list[str]] = {}
    new: dict[str, Source] = {}
    for outline in outlines:
        url, _tokens = without_tokens(outline.url.strip())
        if url in known or url in new:
            report.known.append(Line(outline.name, url, _t("There is already a source with this address.")))
            wanted.setdefault(url, []).extend(outline.tags)
            continue
        try:
            source, missing = _source(outline, free_name(outline.name, url, names))
        except ValidationError as error:
            report.refused.append(Line(outline.name, url, " ".join(error.messages)))
            continue
        names.add(source.name)
        new[url] = source
        wanted.setdefault(url, []).extend(outline.tags)
        report.added.append(Line(source.name, url, todo=to_be_typed(missing)))
    Source.objects.bulk_create(new.values(), batch_size=500)
    _tag({url: source.pk for url, source in new.items()} | known, wanted)
    return report


def _source(outline: Outline, name: str) -> tuple[Source, list[str]]:
    """Return the source of an outline, judged and not saved, and what of it is a secret that did not come along.

    Raises `ValidationError`.
    """
    options, missing = without_masks(outline.options, {})
    settings, more = without_masks(outline.settings, {})
    source = Source()
    given = {"name": name, "url": outline.url.strip(), "kind": outline.kind, "enabled": outline.enabled}
    fill(source, {**outline.polling, **given, "options": options, "settings": settings}, SOURCE_FIELDS)
    source.clean_fields()
    source.clean()
    return source, [*missing, *more]


def free_name(name: str, url: str, taken: Container[str] | None = None) -> str:
    """Return a name that no source has: the host behind it, then a number; `taken` are the names that there are."""
    name, base = name[:NAME_LENGTH], name[: NAME_LENGTH - 60]
    if taken is None:
        taken = set(Source.objects.filter(name__startswith=base).values_list("name", flat=True))
    if name not in taken:
        return name
    host = _host(url)[:50]
    candidate = f"{base} ({host})" if host else f"{base} (2)"
    number = 2
    while candidate in taken:
        candidate = f"{base} ({host} {number})" if host else f"{base} ({number})"
        number += 1
    return candidate


def _tag(sources: dict[str, int], wanted: dict[str, list[str]]) -> None:
    names = {name for tags in wanted.values() for name in tags}
    Tag.objects.bulk_create([Tag(name=name) for name in sorted(names)], ignore_conflicts=True, batch_size=500)
    tags = dict(Tag.objects.filter(name__in=names).values_list("name", "pk"))
    link = Source.tags.through
    link.objects.bulk_create(
        [
            link(source_id=sources[url], tag_id=tags[name])
            for url, wishes in wanted.items()
            for name in dict.fromkeys(wishes)
        ],
        ignore_conflicts=True,
        batch_size=500,
    )


def write(sources: Iterable[Source]) -> bytes:
    """Return sources (with their tags prefetched) as an OPML 2.0 file: each once, in the folder of its first tag.

    `category` holds all tags for others; attributes of our own hold them exactly, with the kind, its options and
    settings (secrets masked), how it is polled, and whether it is enabled.
    """
    root = ET.Element("opml", version="2.0")
    head = ET.SubElement(root, "head")
    ET.SubElement(head, "title").text = _t("Sources of NEWSS")
    ET.SubElement(head, "dateCreated").text = http_date(timezone.now().timestamp())
    body = ET.SubElement(root, "body")
    folders: dict[str, ET.Element] = {}
    for source in sources:
        tags = sorted(tag.name for tag in source.tags.all())
        parent = body
        if tags:
            if tags[0] not in folders:
                words = _printable(tags[0])
                folders[tags[0]] = ET.SubElement(body, "outline", text=words, title=words)
            parent = folders[tags[0]]
        words, url = _printable(source.name), _printable(source.url)
        outline = ET.SubElement(parent, "outline", type="rss", text=words, title=words, xmlUrl=url)
        if tags:
            outline.set("category", _printable(",".join(f"/{tag}" for tag in tags)))
            outline.set(f"{{{NAMESPACE}}}tags", json.dumps(tags))
        outline.set(f"{{{NAMESPACE}}}kind", source.kind)
        own = {"options": source.options, "settings": source.settings, "polling": plain(source, POLLING_FIELDS)}
        for word, values in own.items():
            if values:
                outline.set(f"{{{NAMESPACE}}}{word}", json.dumps(without_secrets(values), sort_keys=True))
        if not source.enabled:
            outline.set(f"{{{NAMESPACE}}}enabled", "no")
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _printable(text: str) -> str:
    """Return a text without the characters that XML 1.0 cannot hold."""
    return _UNPRINTABLE.sub("", text)
