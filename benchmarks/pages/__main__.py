"""Time the admin's pages with millions of rows: `make bench-pages` (PostgreSQL in a scratch folder).

For each page the server's time (median and worst of some requests, the first apart), the processor time of the web
process in it (which a busy machine does not stretch as much), and the number of queries. The figures also go to
`benchmarks/out/pages.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "out" / "pages.json"
PAGES = {
    "dashboard": "/admin/",
    "dashboard, strip": "/admin/dashboard/strip/",
    "dashboard, rest": "/admin/dashboard/live/",
    "schedules": "/admin/scheduling/schedule/",
    "runs": "/admin/scheduling/run/",
    "runs, failed": "/admin/scheduling/run/?status__exact=failed",
    "runs, not succeeded": "/admin/scheduling/run/?status__exact=succeeded&not=status__exact",
    "runs, far page": "/admin/scheduling/run/?p=15",
    "sources": "/admin/scrapers/source/",
    "articles": "/admin/scrapers/article/",
    "articles, search": "/admin/scrapers/article/?q=harbour+storm",
    "articles, not one language": "/admin/scrapers/article/?language=de&not=language",
    "articles, one language": "/admin/scrapers/article/?language=de",
    "coming up": "/admin/scheduling/schedule/coming-up/",
}


def main() -> int:
    """Fill, measure, print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--articles", type=int, default=2_000_000)
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--requests", type=int, default=20)
    options = parser.parse_args()
    from tests.postgres import server

    with server() as url:
        os.environ |= {
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "newss_project.settings",
            "NEWSS_ENV_FILE": os.devnull,
            "SECRET_KEY": "only-for-this-benchmark-on-a-scratch-database",
            "ALLOWED_HOSTS": "testserver",
            "NEWSS_INSECURE_HTTP": "on",
            "LOG_LEVEL": "WARNING",
        }
        measure(options.runs, options.articles, options.schedules, options.requests)
    return 0


def measure(runs: int, articles: int, schedules: int, requests: int) -> None:
    """Fill the database and time each page."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from benchmarks.pages.fill import fill

    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(str(connection.settings_dict['NAME']))}")
    call_command("migrate", verbosity=0)
    begin = time.perf_counter()
    fill(runs, articles, schedules=schedules)
    print(f"filled in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    client = Client()
    client.force_login(User.objects.create_superuser("bench", password=None))
    rows = {}
    for name, address in PAGES.items():
        times, processor = [], []
        for _request in range(requests + 1):
            begin, used = time.perf_counter(), time.process_time()
            answer = client.get(address)
            times.append((time.perf_counter() - begin) * 1000)
            processor.append((time.process_time() - used) * 1000)
            if answer.status_code != 200:
                sys.exit(f"{address} answered {answer.status_code}")
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        rows[name] = {
            "first_ms": round(times[0]),
            "median_ms": round(statistics.median(times[1:])),
            "worst_ms": round(max(times[1:])),
            "processor_ms": round(statistics.median(processor[1:])),
            "queries": len(queries),
        }
    report(rows, runs, articles)


def report(rows: dict[str, dict[str, int]], runs: int, articles: int) -> None:
    """Print the table and write the same figures."""
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{runs:,} runs, {articles:,} articles; PostgreSQL; {machine}\n")
    print("| page | first, ms | median, ms | worst, ms | processor, ms | queries |\n|---|---|---|---|---|---|")
    for name, row in rows.items():
        figures = " | ".join(str(figure) for figure in row.values())
        print(f"| {name} | {figures} |")
    print(f"\nMedian of the pages: {round(statistics.median(row['median_ms'] for row in rows.values()))} ms.")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"runs": runs, "articles": articles, "pages": rows}, indent=2))


if __name__ == "__main__":
    sys.exit(main())
