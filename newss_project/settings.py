"""Settings of NEWSS, all from the environment (or a `.env` file beside manage.py); `.env.example` lists them.

No secret stands here. With `DEBUG` off (the default) a missing `SECRET_KEY` or `ALLOWED_HOSTS` stops the start.
"""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import environ
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from whitenoise.compress import Compressor

from newss_project.unfold import UNFOLD  # noqa: F401  read by django-unfold

BASE_DIR = Path(__file__).resolve().parent.parent


def stop(message: str) -> None:
    """End the start with one clear line: `manage.py` shows it, and so do gunicorn's workers."""
    if Path(sys.argv[0]).name == "manage.py":
        raise ImproperlyConfigured(message)
    sys.exit(f"newss: {message}")


class Environment(environ.Env):  # type: ignore[misc]
    """The environment; a number that is none stops the start with one clear line."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """Return a value as `environ.Env` does."""
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError:
            stop(f"{var} is not a number: {self.ENVIRON.get(var)}")


env = Environment()
Environment.read_env(env.str("NEWSS_ENV_FILE", default=str(BASE_DIR / ".env")))


def database(url: str) -> dict[str, Any]:
    """Return Django's settings of one database from its URL (SQLite file, PostgreSQL by host and port or by socket)."""
    try:
        config: dict[str, Any] = env.db_url_config(url)
    except (ValueError, KeyError, ImproperlyConfigured) as error:
        stop(f"DATABASE_URL is not a database address: {error}")
    options = config.setdefault("OPTIONS", {})
    if config.get("ENGINE") == "django.db.backends.sqlite3":
        # WAL lets readers and one writer work side by side; IMMEDIATE takes the write lock at the start of a
        # transaction, where waiting for it is safe; see https://docs.djangoproject.com/en/5.2/ref/databases/#sqlite-notes
        options.update(
            transaction_mode="IMMEDIATE",
            timeout=env.float("NEWSS_SQLITE_BUSY_SECONDS", default=20.0),
            init_command="PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;",
        )
        if not Path(config["NAME"]).is_absolute() and config["NAME"] != ":memory:":
            config["NAME"] = str(BASE_DIR / config["NAME"])
    elif config.get("ENGINE") == "django.db.backends.postgresql":
        config["HOST"] = unquote(options.pop("host", "") or config.get("HOST") or "")
        config["PORT"] = str(options.pop("port", "") or config.get("PORT") or "")
        config["CONN_MAX_AGE"] = env.int("NEWSS_DATABASE_CONNECTION_SECONDS", default=60)
        config["CONN_HEALTH_CHECKS"] = True
    else:
        stop("DATABASE_URL must begin with sqlite:// or postgres://.")
    return config


def secret_key() -> str:
    """Return the key, empty without one.

    One that begins with `$` is taken as it stands, unless the rest of it names a variable: then as that variable says.
    """
    typed: str = env.ENVIRON.get("SECRET_KEY", "")
    is_key = typed.startswith("$") and typed.lstrip("$") not in env.ENVIRON
    return typed if is_key else str(env.str("SECRET_KEY", default=""))


DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
if not DEBUG and not SECRET_KEY:
    stop("SECRET_KEY is not set. Put a long random value into the environment or .env, or set DEBUG=on to try things.")
if not DEBUG and not ALLOWED_HOSTS:
    stop("ALLOWED_HOSTS is not set. Name the hosts that serve NEWSS, e.g. ALLOWED_HOSTS=news.example.org.")
SECRET_KEY = SECRET_KEY or get_random_secret_key()
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    # For the scripts of the API's docs page, which would else come from elsewhere.
    "ninja",
    "django_apscheduler",
    "newss_project",
    "scheduling",
    "scrapers",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "newss_project.api.ErrorsAsJson",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "scheduling.middleware.ViewerZoneMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "newss_project.urls"
WSGI_APPLICATION = "newss_project.wsgi.application"
ASGI_APPLICATION = "newss_project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "newss_project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": database(env.str("DATABASE_URL", default="sqlite:///newss.sqlite3"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
# What pages can be read in; docs/languages.md tells how to add one. The choice in the user's menu is kept in a cookie.
LANGUAGES = [("en", _("English")), ("de", _("German"))]
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
USE_THOUSAND_SEPARATOR = True
USE_TZ = True
LOCALE_PATHS = [BASE_DIR / "newss_project" / "locale"]

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if env.bool("NEWSS_COMPRESS_STATIC", default=True)
        else "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    },
}
# Only a debugger reads them, and compressing them takes longer than all else.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")

# Production answers over https only, unless a set-up without TLS (the demo on one machine) says otherwise.
INSECURE_HTTP = env.bool("NEWSS_INSECURE_HTTP", default=DEBUG)
SECURE_SSL_REDIRECT = not INSECURE_HTTP
SESSION_COOKIE_SECURE = not INSECURE_HTTP
CSRF_COOKIE_SECURE = not INSECURE_HTTP
LANGUAGE_COOKIE_SECURE = not INSECURE_HTTP
SECURE_HSTS_SECONDS = 0 if INSECURE_HTTP else env.int("SECURE_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = not INSECURE_HTTP
SECURE_HSTS_PRELOAD = not INSECURE_HTTP
if env.bool("NEWSS_BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"

# What a page may load and do, however a text got into it; docs/security.md gives the reason of each line.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        # No inline script anywhere. Unfold's Alpine evaluates the expressions in its attributes.
        "script-src": [SELF, UNSAFE_EVAL],
        # Unfold, htmx and charts set styles on elements.
        "style-src": [SELF, UNSAFE_INLINE],
        # The pictures of articles come from wherever the outlets keep them.
        "img-src": [SELF, "data:", "https:", "http:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "apscheduler": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
    },
}

NEWSS_ENVIRONMENT = env.str("NEWSS_ENVIRONMENT", default="default")
# Addresses that always answer while our own connection stands; asked only when most hosts fail at once.
NEWSS_CONTROL_URLS = env.list("NEWSS_CONTROL_URLS", default=[])
# The share of polls that ask without ETag and Last-Modified, since these may be wrong.
NEWSS_UNCONDITIONAL_SHARE = env.float("NEWSS_UNCONDITIONAL_SHARE", default=0.01)
# Whether hosts of one registrable domain share slots and cool-downs; whether Retry-After holds for the whole host.
NEWSS_GROUP_HOSTS = env.bool("NEWSS_GROUP_HOSTS", default=False)
NEWSS_COOL_DOWN_HOSTS = env.bool("NEWSS_COOL_DOWN_HOSTS", default=True)
NEWSS_ALLOW_NETWORKS = env.list("NEWSS_ALLOW_NETWORKS", default=[])
NEWSS_CONTACT = env.str("NEWSS_CONTACT", default="")
NEWSS_SPIDER_MODULES = env.list("NEWSS_SPIDER_MODULES", default=[])
NEWSS_SECRETS_KEYS = env.list("NEWSS_SECRETS_KEY", default=[])
NEWSS_EXECUTOR_THREADS = env.int("NEWSS_EXECUTOR_THREADS", default=8)
NEWSS_EXECUTOR_PROCESSES = env.int("NEWSS_EXECUTOR_PROCESSES", default=4)
NEWSS_GRACE_SECONDS = env.float("NEWSS_GRACE_SECONDS", default=20.0)
NEWSS_LEASE_SECONDS = env.float("NEWSS_LEASE_SECONDS", default=5.0)
# What housekeeping keeps, by age and by number; 0 is no limit.
NEWSS_KEEP_RUNS_DAYS = env.float("NEWSS_KEEP_RUNS_DAYS", default=90.0)
NEWSS_KEEP_RUNS_PER_SCHEDULE = env.int("NEWSS_KEEP_RUNS_PER_SCHEDULE", default=10_000)
NEWSS_KEEP_LOG_DAYS = env.float("NEWSS_KEEP_LOG_DAYS", default=30.0)
NEWSS_KEEP_LOG_LINES = env.int("NEWSS_KEEP_LOG_LINES", default=1_000_000)
NEWSS_KEEP_EXECUTIONS_DAYS = env.float("NEWSS_KEEP_EXECUTIONS_DAYS", default=7.0)
NEWSS_KEEP_EXECUTIONS_PER_JOB = env.int("NEWSS_KEEP_EXECUTIONS_PER_JOB", default=1_000)
NEWSS_KEEP_INSTANCES_DAYS = env.float("NEWSS_KEEP_INSTANCES_DAYS", default=7.0)
NEWSS_KEEP_INSTANCES = env.int("NEWSS_KEEP_INSTANCES", default=200)
NEWSS_KEEP_PASSED_DAYS = env.float("NEWSS_KEEP_PASSED_DAYS", default=90.0)
NEWSS_KEEP_TOMBSTONES_DAYS = env.float("NEWSS_KEEP_TOMBSTONES_DAYS", default=730.0)
NEWSS_KEEP_VERSIONS_DAYS = env.float("NEWSS_KEEP_VERSIONS_DAYS", default=365.0)
NEWSS_KEEP_HOSTS_DAYS = env.float("NEWSS_KEEP_HOSTS_DAYS", default=90.0)
# On: whoever may edit schedules can execute programs as the scheduler's user, by the job `run_command`.
NEWSS_ALLOW_COMMANDS = env.bool("NEWSS_ALLOW_COMMANDS", default=False)
# Stored procedures of PostgreSQL that the job `call_procedure` may call, with their schema: reports.refresh,public.tidy
NEWSS_PROCEDURES = env.list("NEWSS_PROCEDURES", default=[])
