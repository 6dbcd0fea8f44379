"""How settings are typed: lines, pairs that may be secret, and a proxy; no secret is ever shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _t
from django.utils.translation import ngettext

from scrapers import secrets
from scrapers.secrets import MASK

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
#: Headers that hold no secret; the value of any other is stored encrypted.
_HARMLESS = frozenset({"accept", "accept-language", "cache-control", "dnt", "origin", "referer", "x-requested-with"})
#: Headers that are not a source's business: who we are, how bodies are packed, what is asked for conditionally.
_REFUSED = frozenset(
    {"user-agent", "host", "connection", "content-length", "transfer-encoding", "accept-encoding", "cookie", "range"}
    | {"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "expect", "te", "upgrade"}
    | {"proxy-authorization", "proxy-connection", "keep-alive", "trailer", "content-encoding", "content-type"}
)
_REFERENCE = re.compile(r"(?:[A-Za-z]+ )?env:\w+")
_PARAMETER_NAME = re.compile(r"[^\s=&#?%]{1,100}")
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_COOKIE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_LINES_MAX = 50


class LinesField(forms.CharField):
    """One value a line; stored as a list."""

    widget = forms.Textarea(attrs={"rows": 2, "spellcheck": "false"})

    def __init__(self, *, check: Callable[[list[str]], None], **kwargs: Any) -> None:
        self._check = check
        super().__init__(required=False, max_length=10_000, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Return the lines as text."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the lines that are not empty."""
        text = "\n".join(value) if isinstance(value, list) else super().to_python(value)
        return [line.strip() for line in (text or "").splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        """Refuse too many, and what the check refuses."""
        if len(value) > _LINES_MAX:
            raise ValidationError(_t("At most %d lines.") % _LINES_MAX)
        self._check(value)

    def run_validators(self, value: Any) -> None:
        """Leave all to `validate`: the usual validators are made for one text."""


class SecretPairsField(forms.CharField):
    """Names and values, one pair a line; secret values are stored encrypted and shown as a mask.

    A mask that is sent back stands for the value that is stored (`stored` is set by the form).
    """

    widget = forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "autocomplete": "off"})

    def __init__(self, *, separator: str, check: Callable[[str, str], str], **kwargs: Any) -> None:
        self._separator, self._judge = separator, check
        self.stored: Mapping[str, str] = {}
        super().__init__(required=False, max_length=10_000, strip=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Return the pairs as text, without any secret."""
        if not isinstance(value, dict):
            return value
        space = " " if self._separator == ":" else ""
        return "\n".join(
            f"{name}{self._separator}{space}{secrets.masked(stored)}" for name, stored in sorted(value.items())
        )

    def to_python(self, value: Any) -> Any:
        """Return the pairs as they are stored; raises `ValidationError`."""
        if isinstance(value, dict):
            pairs = [(str(name), str(given)) for name, given in value.items()]
        else:
            lines = [line.strip() for line in (value or "").splitlines() if line.strip()]
            if bad := [line for line in lines if self._separator not in line]:
                # Not the line itself: it may be a secret.
                words = ngettext(
                    "%(count)d line lacks the “%(separator)s” between name and value.",
                    "%(count)d lines lack the “%(separator)s” between name and value.",
                    len(bad),
                )
                raise ValidationError(words % {"count": len(bad), "separator": self._separator})
            pairs = [(name.strip(), given.strip()) for name, _s, given in (x.partition(self._separator) for x in lines)]
        if len(pairs) > _LINES_MAX:
            raise ValidationError(_t("At most %d lines.") % _LINES_MAX)
        return {name: self._value(name, given) for name, given in pairs}

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Tell whether what is sent back differs from what was shown."""
        return (self.prepare_value(initial) or "").split() != (str(data or "")).split()

    def run_validators(self, value: Any) -> None:
        """Leave all to `to_python`."""

    def _value(self, name: str, given: str) -> str:
        if MASK in given:
            if given != MASK or name not in self.stored:
                raise ValidationError(_t("Type the value of “%s” anew; the mask stands for nothing here.") % name)
            return self.stored[name]
        return self._judge(name, given)


def judge_header(name: str, value: str) -> str:
    """Return a header's value as it is stored; raises `ValidationError`."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValidationError(_t("“%s” is not the name of a header.") % name[:100])
    if name.lower() in _REFUSED:
        raise ValidationError(_t("The header “%s” is not set here.") % name)
    if not value or not all("\x20" <= character < "\x7f" or character >= "\xa0" for character in value):
        raise ValidationError(_t("The value of “%s” is empty or holds control characters.") % name)
    return value if name.lower() in _HARMLESS else _sealed(value)


def judge_cookie(name: str, value: str) -> str:
    """Return a cookie's value as it is stored; raises `ValidationError`."""
    if not _COOKIE_NAME.fullmatch(name):
        raise ValidationError(_t("“%s” is not the name of a cookie.") % name[:100])
    if not secrets.is_reference(value) and not value.startswith("enc:") and not _COOKIE_VALUE.fullmatch(value):
        raise ValidationError(_t("The value of the cookie “%s” holds characters that cookies cannot have.") % name)
    return _sealed(value)


def judge_parameter(name: str, value: str) -> str:
    """Return the value of a parameter of addresses as it is stored; raises `ValidationError`."""
    if not _PARAMETER_NAME.fullmatch(name):
        raise ValidationError(_t("“%s” is not the name of a parameter.") % name[:100])
    if not value or not value.isprintable():
        raise ValidationError(_t("The value of “%s” is empty or holds control characters.") % name)
    return _sealed(value)


def _sealed(value: str) -> str:
    """Return a secret as it is stored; raises `ValidationError` for a name of the environment that is not read."""
    if _REFERENCE.fullmatch(value) and not secrets.is_reference(value):
        raise ValidationError(_t("Only names that begin with %s are read.") % secrets.ENVIRONMENT_PREFIX)
    return secrets.sealed(value)


class ProxyField(forms.CharField):
    """The address of a proxy; one with a password is stored encrypted and shown with a mask in its place."""

    def __init__(self, **kwargs: Any) -> None:
        self.stored = ""
        super().__init__(required=False, max_length=2000, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Return the address without the password."""
        return masked_proxy(value) if value else value

    def to_python(self, value: Any) -> str:
        """Return the address as it is stored; raises `ValidationError`."""
        text = str(value or "").strip()
        if not text or text.startswith("enc:"):
            return text
        if MASK in text:
            # A form shows the address with a mask in it; a file holds the mask alone.
            if text != masked_proxy(self.stored) and not (text == MASK and self.stored.startswith("enc:")):
                raise ValidationError(_t("Type the password anew; the mask stands for nothing here."))
            return self.stored
        if text.startswith("env:"):
            if not secrets.is_reference(text):
                raise ValidationError(_t("Only names that begin with %s are read.") % secrets.ENVIRONMENT_PREFIX)
            return text
        try:
            parts = urlsplit(text)
            fits = parts.scheme in ("http", "https") and parts.hostname and parts.port is not False
        except ValueError:
            fits = None
        if not fits:
            raise ValidationError(_t("Enter the address of an HTTP proxy: http://host:port"))
        return secrets.sealed(text) if parts.password else text

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Tell whether what is sent back differs from what was shown."""
        return (self.prepare_value(initial) or "") != (data or "").strip()


def masked_proxy(stored: str) -> str:
    """Return what may be shown of a stored proxy."""
    if not stored.startswith("enc:"):
        return stored
    try:
        parts = urlsplit(secrets.revealed(stored))
    except secrets.SecretError:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{parts.username or ''}:{MASK}@{host}", "", "", ""))
