"""The root of the API at `/api/v1/`; each app brings its own router."""

from ninja import NinjaAPI

api = NinjaAPI(title="NEWSS", version="1", urls_namespace="api")
