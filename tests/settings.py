"""Settings of the test suite: the production settings with a test key and a database of its own.

`TEST_DATABASE_URL` (set by `python -m tests.postgres COMMAND`) chooses PostgreSQL; otherwise each worker has a SQLite
file, since WAL and locks between processes are what is to be tested.
"""

import os
import tempfile
from pathlib import Path

_scratch = Path(tempfile.gettempdir()) / f"newss-tests-{os.getuid()}"
_scratch.mkdir(exist_ok=True)
_worker = os.environ.get("PYTEST_XDIST_WORKER", f"pid{os.getpid()}")
_sqlite = _scratch / f"{os.environ.get('PYTEST_XDIST_TESTRUNUID', 'single')[:8]}-{_worker}.sqlite3"

os.environ["NEWSS_ENV_FILE"] = os.devnull
os.environ["SECRET_KEY"] = "only-for-tests"
os.environ["ALLOWED_HOSTS"] = "testserver,localhost,127.0.0.1"
os.environ["NEWSS_INSECURE_HTTP"] = "on"
os.environ["NEWSS_ALLOW_NETWORKS"] = "127.0.0.0/8"
os.environ["TIME_ZONE"] = "UTC"
os.environ["NEWSS_UNCONDITIONAL_SHARE"] = "0"
# A child of a test (a scheduler process, say) is handed its database by DATABASE_URL itself.
if "NEWSS_TEST_CHILD" not in os.environ:
    os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{_sqlite}"

from newss_project.settings import *  # noqa: E402, F403
from newss_project.settings import DATABASES, INSTALLED_APPS, STORAGES  # noqa: E402

DATABASES["default"]["CONN_MAX_AGE"] = 0
if "NEWSS_TEST_CHILD" not in os.environ and "sqlite3" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["TEST"] = {"NAME": str(_sqlite)}
INSTALLED_APPS += ["tests.testjobs"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Whitenoise warns of a folder that is missing.
STATIC_ROOT = _scratch / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
