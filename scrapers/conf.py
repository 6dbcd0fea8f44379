"""Settings of collecting: name, default and meaning of each; Django's settings override them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings

DEFAULTS: dict[str, Any] = {
    # Seconds between two requests to one host, where its robots.txt does not ask for more.
    "NEWSS_HOST_DELAY_SECONDS": 1.0,
    # Requests at once to one host, over all processes, where the delay is 0; with a delay it is always 1.
    "NEWSS_HOST_CONCURRENCY": 4,
    # The longest Crawl-delay that is honoured, in seconds; longer ones count as this.
    "NEWSS_CRAWL_DELAY_MAX_SECONDS": 60.0,
    # Seconds until a connection stands (name, TCP, TLS).
    "NEWSS_FETCH_CONNECT_SECONDS": 10.0,
    # Seconds without a byte, the first included.
    "NEWSS_FETCH_SILENCE_SECONDS": 20.0,
    # Seconds for one answer as a whole.
    "NEWSS_FETCH_TOTAL_SECONDS": 60.0,
    # Bytes of one answer, after decompression.
    "NEWSS_FETCH_MAX_BYTES": 15 * 1024 * 1024,
    # Sources of one run that are dealt with at once.
    "NEWSS_CONCURRENT_SOURCES": 50,
    # Processes that extract text, for each run; 0: as many as there are processor cores, at most 4.
    "NEWSS_EXTRACT_PROCESSES": 0,
    # Seconds that the extraction of one page may take.
    "NEWSS_EXTRACT_SECONDS": 30.0,
    # The shortest and the longest interval of adaptive polling, in seconds.
    "NEWSS_ADAPTIVE_MIN_SECONDS": 300.0,
    "NEWSS_ADAPTIVE_MAX_SECONDS": 86_400.0,
    # Seconds by which the wait after failures grows for each (weighted) failure, up to a day.
    "NEWSS_BACK_OFF_SECONDS": 1800.0,
    # From this sum of weighted failures on a source is polled once a day: failing.
    "NEWSS_FAILING_AFTER": 4.0,
    # The share of polls that ask without ETag and Last-Modified, since these may be wrong.
    "NEWSS_UNCONDITIONAL_SHARE": 0.01,
    # Days that housekeeping keeps: items that were not stored after their source dropped them, traces of deleted
    # articles, earlier versions of articles, hosts that are not asked any more. 0: for ever.
    "NEWSS_KEEP_PASSED_DAYS": 90.0,
    "NEWSS_KEEP_TOMBSTONES_DAYS": 730.0,
    "NEWSS_KEEP_VERSIONS_DAYS": 365.0,
    "NEWSS_KEEP_HOSTS_DAYS": 90.0,
    # Seconds that a run waits for our own connection to come back, when it is that which fails.
    "NEWSS_OFFLINE_WAIT_SECONDS": 120.0,
}

SWITCHES: dict[str, bool] = {
    # Whether hosts of one registrable domain share their slots and cool-downs.
    "NEWSS_GROUP_HOSTS": False,
    # Whether Retry-After holds for the whole host (and its group), or only for the source that was told so.
    "NEWSS_COOL_DOWN_HOSTS": True,
}


def host_delay_seconds() -> float:
    """Return the seconds between two requests to one host, where its robots.txt does not ask for more."""
    return float(_value("NEWSS_HOST_DELAY_SECONDS"))


def host_concurrency() -> int:
    """Return how many requests may be under way at once at a host without a delay."""
    return int(_value("NEWSS_HOST_CONCURRENCY"))


def group_hosts() -> bool:
    """Tell whether hosts of one registrable domain share their slots and cool-downs."""
    return bool(getattr(settings, "NEWSS_GROUP_HOSTS", SWITCHES["NEWSS_GROUP_HOSTS"]))


def cool_down_hosts() -> bool:
    """Tell whether Retry-After holds for the whole host (and its group), not only for the source."""
    return bool(getattr(settings, "NEWSS_COOL_DOWN_HOSTS", SWITCHES["NEWSS_COOL_DOWN_HOSTS"]))


def crawl_delay_max_seconds() -> float:
    """Return the longest Crawl-delay that is honoured, in seconds."""
    return float(_value("NEWSS_CRAWL_DELAY_MAX_SECONDS"))


def connect_seconds() -> float:
    """Return the seconds until a connection must stand."""
    return float(_value("NEWSS_FETCH_CONNECT_SECONDS"))


def silence_seconds() -> float:
    """Return the seconds that an answer may make a pause, before its first byte and between others."""
    return float(_value("NEWSS_FETCH_SILENCE_SECONDS"))


def total_seconds() -> float:
    """Return the seconds that one answer may take as a whole."""
    return float(_value("NEWSS_FETCH_TOTAL_SECONDS"))


def max_bytes() -> int:
    """Return how many bytes one answer may have, after decompression."""
    return int(_value("NEWSS_FETCH_MAX_BYTES"))


def concurrent_sources() -> int:
    """Return how many sources of one run are dealt with at once."""
    return int(_value("NEWSS_CONCURRENT_SOURCES"))


def extract_processes() -> int:
    """Return how many processes extract text for one run."""
    return int(_value("NEWSS_EXTRACT_PROCESSES")) or min(4, len(os.sched_getaffinity(0)))


def extract_seconds() -> float:
    """Return the seconds that the extraction of one page may take."""
    return float(_value("NEWSS_EXTRACT_SECONDS"))


@dataclass(frozen=True)
class Polling:
    """The settings of polling; durations in seconds."""

    adaptive_min: float
    adaptive_max: float
    back_off_step: float
    failing_after: float


def polling() -> Polling:
    """Return the settings of polling."""
    names = ("ADAPTIVE_MIN_SECONDS", "ADAPTIVE_MAX_SECONDS", "BACK_OFF_SECONDS", "FAILING_AFTER")
    return Polling(*(float(_value(f"NEWSS_{name}")) for name in names))


@dataclass(frozen=True)
class Keeping:
    """How many days housekeeping keeps what; 0 is for ever."""

    passed_days: float
    tombstones_days: float
    versions_days: float
    hosts_days: float


def keeping() -> Keeping:
    """Return how long housekeeping keeps what (`NEWSS_KEEP_…_DAYS`)."""
    return Keeping(*(float(_value(f"NEWSS_KEEP_{name.upper()}")) for name in Keeping.__annotations__))


def unconditional_share() -> float:
    """Return the share of polls that ask without validators."""
    return float(_value("NEWSS_UNCONDITIONAL_SHARE"))


def offline_wait_seconds() -> float:
    """Return the seconds that a run waits for our own connection to come back."""
    return float(_value("NEWSS_OFFLINE_WAIT_SECONDS"))


def control_urls() -> list[str]:
    """Return addresses that always answer while our own connection stands (`NEWSS_CONTROL_URLS`, empty: none)."""
    return [url.strip() for url in getattr(settings, "NEWSS_CONTROL_URLS", ()) if url.strip()]


def user_agent() -> str:
    """Return who we say we are: product, version, and a contact where the settings name one."""
    try:
        number = version("newss")
    except PackageNotFoundError:
        number = "0.1"
    contact = str(settings.NEWSS_CONTACT).strip()
    return f"NEWSS/{number} (+{contact})" if contact else f"NEWSS/{number}"


def _value(name: str) -> Any:
    return getattr(settings, name, DEFAULTS[name])
