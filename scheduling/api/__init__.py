"""The API of `scheduling`: its router, and what other apps' routers share with it (access, errors, answers)."""
