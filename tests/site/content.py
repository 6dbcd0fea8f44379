"""Stories as they lie on disk: `stories/<outlet>/<number>-<slug>.md`, read into `Story` and `Block`.

A file is TOML between two lines of `+++`, then the body. Blank lines separate its blocks: a paragraph; `## ` a
subheading; `> ` a quotation; lines of `- ` a list; `![caption](name)` an image. Inside a text `*so*` is emphasis and
`[so](/path)` a link. The number orders an outlet's stories, oldest first; it is not part of the address.
"""

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

STORIES: Final = Path(__file__).parent / "stories"

_FRONT_MATTER: Final = re.compile(r"\A\+\+\+\n(.*?)\n\+\+\+\n(.*)\Z", re.DOTALL)
_FILE_NAME: Final = re.compile(r"\A\d+-([a-z0-9-]+)\.md\Z")
_IMAGE: Final = re.compile(r"\A!\[(.*)\]\(([a-z0-9-]+)\)\Z", re.DOTALL)
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
_EMPHASIS: Final = re.compile(r"\*([^*]+)\*")


class BlockKind(StrEnum):
    """What a block of a body is."""

    PARAGRAPH = "paragraph"
    HEADING = "heading"
    QUOTE = "quote"
    LIST = "list"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a body: its kind and its texts (several for a list), and the name of the picture for an image."""

    kind: BlockKind
    texts: tuple[str, ...]
    image: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """One story as written, before anybody published it."""

    slug: str
    title: str
    summary: str
    authors: tuple[str, ...]
    section: str
    keywords: tuple[str, ...]
    language: str
    blocks: tuple[Block, ...]
    full_in_feed: bool = False
    update: str = ""  # the paragraph that `--update-after` adds

    @property
    def path(self) -> str:
        """Return the path of the page. It holds no date of the run: a restarted site keeps its addresses."""
        return f"/2026/11/{self.slug}"


@cache
def load_stories(outlet: str) -> tuple[Story, ...]:
    """Read the stories of an outlet, oldest first; ValueError names the file that is not as it should be."""
    folder = STORIES / outlet
    stories = tuple(parse_story(path.name, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.md")))
    slugs = [story.slug for story in stories]
    if twice := {slug for slug in slugs if slugs.count(slug) > 1}:
        raise ValueError(f"{folder}: two stories share the slug {', '.join(sorted(twice))}; rename one of the files")
    return stories


def parse_story(file_name: str, text: str) -> Story:
    """Make a story of a file's name and text."""
    name, parts = _FILE_NAME.match(file_name), _FRONT_MATTER.match(text)
    if name is None or parts is None:
        raise ValueError(f"{file_name}: expected a name like 07-slug.md and a head between two lines of +++")
    head = tomllib.loads(parts[1])
    try:
        return Story(
            slug=name[1],
            title=head["title"],
            summary=head["summary"],
            authors=tuple(head["authors"]),
            section=head["section"],
            keywords=tuple(head["keywords"]),
            language=head.get("language", "en"),
            blocks=parse_body(parts[2]),
            full_in_feed=head.get("full_in_feed", False),
            update=head.get("update", ""),
        )
    except KeyError as error:
        raise ValueError(f"{file_name}: its head lacks {error}") from error


def parse_body(text: str) -> tuple[Block, ...]:
    """Split a body into its blocks."""
    return tuple(_parse_block(part.strip()) for part in re.split(r"\n\s*\n", text.strip()))


def _parse_block(text: str) -> Block:
    if text.startswith("## "):
        return Block(BlockKind.HEADING, (text[3:],))
    if text.startswith("> "):
        return Block(BlockKind.QUOTE, (" ".join(line.removeprefix(">").strip() for line in text.splitlines()),))
    if text.startswith("- "):
        return Block(BlockKind.LIST, tuple(" ".join(item.split()) for item in re.split(r"(?:\A|\n)- ", text)[1:]))
    if image := _IMAGE.match(text):
        return Block(BlockKind.IMAGE, (image[1],), image=image[2])
    return Block(BlockKind.PARAGRAPH, (" ".join(text.split()),))


def plain(text: str) -> str:
    """Return a text without its inline marks."""
    return _EMPHASIS.sub(r"\1", _LINK.sub(r"\1", text))


def inline_html(text: str) -> str:
    """Return a text as HTML, its inline marks turned into elements."""
    return _EMPHASIS.sub(r"<em>\1</em>", _LINK.sub(r'<a href="\2">\1</a>', escape(text, quote=False)))
