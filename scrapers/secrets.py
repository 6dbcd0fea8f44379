"""Passwords, tokens and cookies: stored encrypted or taken from the environment, shown as a mask, revealed only here.

A stored value is one of: `enc:…` (encrypted), a text with `env:NEWSS_SECRET_NAME` in it (the environment has it), or a
plain text. Keys are derived from `NEWSS_SECRETS_KEY` (several, separated by commas: the first encrypts, all decrypt),
or from `SECRET_KEY` and `SECRET_KEY_FALLBACKS` where it is not set.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit, urlunsplit

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.translation import gettext as _

MASK = "••••••••"
"""What is shown in place of a secret."""
ENVIRONMENT_PREFIX = "NEWSS_SECRET_"
"""Only variables whose name begins like this can be named, so that no form reads the rest of the environment."""
_ENCRYPTED = "enc:"
_REFERENCE = re.compile(r"env:([A-Za-z0-9_]+)")
_ALLOWED_REFERENCE = re.compile(rf"env:({ENVIRONMENT_PREFIX}[A-Z0-9_]+)")
#: Names of parameters in addresses that hold a secret, and those that do where the value looks like one.
_TOKEN = re.compile(
    r"(api[_-]?key|access[_-]?key|(access|auth|api)?[_-]?token|(client[_-]?)?secret|password|passwd|pwd)", re.IGNORECASE
)
_PERHAPS_TOKEN = re.compile(r"(key|auth|sig|signature|appid|app[_-]id)", re.IGNORECASE)
_LOOKS_SECRET = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9._~+/=-]{20,}")
_MARKED = re.compile(r"\{([^{}/?#\s]+)\}")
HIDDEN_NAME = re.compile(r"hidden\d*")
"""What stands in an address for a part of its path that is hidden, and names the parameter that holds it."""
_PLACE = re.compile(rf"query|{HIDDEN_NAME.pattern}")
_HIDDEN = re.compile(rf"(?:\{{|%7B)({HIDDEN_NAME.pattern})(?:\}}|%7D)")
#: A part of a path that may be a secret: long, letters and digits, nothing that a word for readers would have.
_PERHAPS_SECRET_PART = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_=]{20,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ONLY_REFERENCE = re.compile(rf"(?:[A-Za-z]+ )?env:{ENVIRONMENT_PREFIX}[A-Z0-9_]+")


class SecretError(Exception):
    """A secret cannot be had; the message says which and what to do, never what it was."""


def sealed(text: str) -> str:
    """Return what is stored for a secret that was typed: encrypted, unless it names the environment."""
    if not text or text.startswith(_ENCRYPTED) or _ONLY_REFERENCE.fullmatch(text):
        return text
    return _ENCRYPTED + _keys().encrypt(text.encode()).decode()


def revealed(stored: str) -> str:
    """Return the secret itself; raises `SecretError`."""
    if stored.startswith(_ENCRYPTED):
        try:
            return _keys().decrypt(stored.removeprefix(_ENCRYPTED).encode()).decode()
        except InvalidToken as error:
            raise SecretError(
                _("A stored secret cannot be decrypted: NEWSS_SECRETS_KEY (or SECRET_KEY) is not what it was.")
            ) from error
    return _REFERENCE.sub(_from_environment, stored)


def revealed_options(values: Any) -> Any:
    """Return a copy of a source's options with every secret in them; raises `SecretError`.

    Only `env:NEWSS_SECRET_…` is taken from the environment here: elsewhere in an option "env:" may be a part of it.
    """
    return _each(_revealed_option, values)


def _revealed_option(text: str) -> str:
    return revealed(text) if text.startswith(_ENCRYPTED) else _ALLOWED_REFERENCE.sub(_from_environment, text)


def masked(stored: str) -> str:
    """Return what may be shown of a stored value: a mask for what is encrypted, a reference as it is."""
    return MASK if stored.startswith(_ENCRYPTED) else stored


def is_reference(text: str) -> bool:
    """Tell whether a text names the environment and holds no secret itself."""
    return _ONLY_REFERENCE.fullmatch(text) is not None


def rotated(stored: str) -> str:
    """Return a stored value encrypted by the first key; raises `SecretError` if no key fits."""
    return sealed(revealed(stored)) if stored.startswith(_ENCRYPTED) else stored


def without_secrets(values: Any) -> Any:
    """Return a copy of anything JSON holds with all encrypted texts masked, for the API, exports and logs."""
    return _each(masked, values)


def all_rotated(values: Any) -> Any:
    """Return a copy of anything JSON holds with all encrypted texts `rotated`; raises `SecretError`."""
    return _each(rotated, values)


def encrypted_in(values: Any) -> set[str]:
    """Return the encrypted texts in anything JSON holds, as they are stored."""
    if isinstance(values, dict | list):
        parts = values.values() if isinstance(values, dict) else values
        return set().union(*(encrypted_in(part) for part in parts))
    return {values} if isinstance(values, str) and values.startswith(_ENCRYPTED) else set()


def holds_secrets(values: Any) -> bool:
    """Tell whether anything JSON holds has a secret in it, encrypted or by the name of an environment variable."""
    if isinstance(values, dict | list):
        return any(map(holds_secrets, values.values() if isinstance(values, dict) else values))
    return isinstance(values, str) and (values.startswith(_ENCRYPTED) or bool(_ALLOWED_REFERENCE.search(values)))


def without_tokens(url: str, first: int = 1) -> tuple[str, dict[str, str]]:
    """Return an address without what in it is secret, and that by name.

    Parameters that hold a token or a password are left away. A part of the path that a person put in braces becomes
    `{hidden}` (`{hidden2}` and so on, counted from `first`); `{query}` and what is such a place already stay.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, {}
    kept, taken = [], {}
    for pair in parts.query.split("&"):
        name, _equals, value = pair.partition("=")
        text = unquote_plus(value)
        sure = _TOKEN.fullmatch(name) and "{" not in text
        if text and (sure or (_PERHAPS_TOKEN.fullmatch(name) and _LOOKS_SECRET.fullmatch(text))):
            taken[unquote_plus(name)] = text
        else:
            kept.append(pair)

    def hide(marked: re.Match[str]) -> str:
        if _PLACE.fullmatch(marked[1]):
            return marked[0]
        number = first + sum(name.startswith("hidden") for name in taken)
        name = "hidden" if number == 1 else f"hidden{number}"
        taken[name] = unquote(marked[1])
        return f"{{{name}}}"

    path = _MARKED.sub(hide, parts.path)
    return (urlunsplit(parts._replace(path=path, query="&".join(kept))), taken) if taken else (url, {})


def hidden_places(url: str) -> list[str]:
    """Return the names of the hidden parts of an address's path, such as "hidden"."""
    try:
        return _HIDDEN.findall(urlsplit(url).path)
    except ValueError:
        return []


def unmarked(url: str) -> tuple[str, list[str]]:
    """Return an address without the braces that mark secret parts of its path, and these parts."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, []
    marked = [part for part in _MARKED.findall(parts.path) if not _PLACE.fullmatch(part)]
    path = parts.path
    for part in marked:
        path = path.replace(f"{{{part}}}", part)
    return urlunsplit(parts._replace(path=path)), marked


def perhaps_secret_part(url: str) -> bool:
    """Tell whether a part of an address's path looks like a token, of which only a person knows whether it is one."""
    parts = urlsplit(url).path.split("/")
    return any(_PERHAPS_SECRET_PART.fullmatch(part.rpartition(".")[0] or part) for part in parts)


def _each(change: Callable[[str], str], values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _each(change, value) for name, value in values.items()}
    if isinstance(values, list):
        return [_each(change, value) for value in values]
    return change(values) if isinstance(values, str) else values


def _from_environment(match: re.Match[str]) -> str:
    name = match[1]
    if not name.startswith(ENVIRONMENT_PREFIX):
        raise SecretError(
            _("env:%(name)s is not read: only names that begin with %(prefix)s are.")
            % {"name": name, "prefix": ENVIRONMENT_PREFIX}
        )
    if name not in os.environ:
        raise SecretError(_("The environment variable %s is not set.") % name)
    return os.environ[name]


def _keys() -> MultiFernet:
    given = [key.strip() for key in settings.NEWSS_SECRETS_KEYS if key.strip()]
    return _derived(tuple(given or [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]))


@lru_cache(maxsize=8)
def _derived(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(key))) for key in keys])


def _derive(key: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"newss stored secrets").derive(key.encode())
