"""The index of full-text search (`scrapers.search`): a `tsvector` with GIN on PostgreSQL, an FTS5 table on SQLite.

What is deleted leaves it by a trigger, whoever deletes. The words that stand in SQLite's table were cut by us: "ascii"
takes them as they come, since it splits only at ASCII characters that are neither letters nor digits.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

POSTGRESQL_UP = """
CREATE TABLE scrapers_articlesearch (article_id bigint PRIMARY KEY, document tsvector NOT NULL);
CREATE INDEX scrapers_articlesearch_document ON scrapers_articlesearch USING gin (document);
CREATE FUNCTION newss_article_unsearch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM scrapers_articlesearch WHERE article_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER newss_article_unsearch AFTER DELETE ON scrapers_article
    FOR EACH ROW EXECUTE FUNCTION newss_article_unsearch();
"""
POSTGRESQL_DOWN = """
DROP TRIGGER newss_article_unsearch ON scrapers_article;
DROP FUNCTION newss_article_unsearch();
DROP TABLE scrapers_articlesearch;
"""
SQLITE_UP = [
    "CREATE VIRTUAL TABLE scrapers_articlesearch USING fts5(title, summary, text, tokenize = \"ascii tokenchars '_'\")",
    """CREATE TRIGGER newss_article_unsearch AFTER DELETE ON scrapers_article
    BEGIN
        DELETE FROM scrapers_articlesearch WHERE rowid = OLD.id;
    END""",
]
SQLITE_DOWN = ["DROP TRIGGER newss_article_unsearch", "DROP TABLE scrapers_articlesearch"]


def up(_apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    statements = [POSTGRESQL_UP] if schema_editor.connection.vendor == "postgresql" else SQLITE_UP
    for statement in statements:
        schema_editor.execute(statement)


def down(_apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    statements = [POSTGRESQL_DOWN] if schema_editor.connection.vendor == "postgresql" else SQLITE_DOWN
    for statement in statements:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("scrapers", "0001_initial")]
    operations = [migrations.RunPython(up, down)]
