"""The API of `scrapers`."""
