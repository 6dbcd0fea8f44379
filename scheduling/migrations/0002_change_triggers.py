"""Triggers that note every change of a schedule, whoever writes it: the admin, `QuerySet.update()`, plain SQL.

They raise `version`, insert into `scheduling_schedulechange`, and on PostgreSQL ring the bell (NOTIFY), as new runs,
requests to cancel and holds do. Deleting a schedule keeps its runs, also when it is deleted by plain SQL. A pause that
somebody ends by writing the columns is noted as `Schedule.resume()` would have done.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

POSTGRESQL_UP = """
CREATE FUNCTION newss_schedule_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER newss_schedule_version BEFORE UPDATE ON scheduling_schedule
    FOR EACH ROW EXECUTE FUNCTION newss_schedule_version();

CREATE FUNCTION newss_schedule_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO scheduling_schedulechange (schedule_id, at) VALUES (COALESCE(NEW.id, OLD.id), clock_timestamp());
    IF TG_OP = 'UPDATE' AND OLD.paused_at IS NOT NULL AND NEW.paused_at IS DISTINCT FROM OLD.paused_at THEN
        INSERT INTO scheduling_pause (schedule_id, started_at, ended_at, reason, paused_by_id)
        VALUES (OLD.id, OLD.paused_at,
                GREATEST(OLD.paused_at, LEAST(clock_timestamp(), COALESCE(OLD.paused_until, 'infinity'))),
                OLD.pause_reason, OLD.paused_by_id)
        ON CONFLICT DO NOTHING;
    END IF;
    PERFORM pg_notify('newss', 'schedule');
    RETURN NULL;
END $$;
CREATE TRIGGER newss_schedule_note AFTER INSERT OR UPDATE OR DELETE ON scheduling_schedule
    FOR EACH ROW EXECUTE FUNCTION newss_schedule_note();

CREATE FUNCTION newss_schedule_keep_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE scheduling_run SET schedule_id = NULL, backfill_id = NULL WHERE schedule_id = OLD.id;
    DELETE FROM scheduling_backfill WHERE schedule_id = OLD.id;
    DELETE FROM scheduling_followup WHERE OLD.id IN (predecessor_id, successor_id);
    DELETE FROM scheduling_pause WHERE schedule_id = OLD.id;
    DELETE FROM scheduling_schedulestate WHERE schedule_id = OLD.id;
    DELETE FROM scheduling_schedule_tags WHERE schedule_id = OLD.id;
    RETURN OLD;
END $$;
CREATE TRIGGER newss_schedule_keep_runs BEFORE DELETE ON scheduling_schedule
    FOR EACH ROW EXECUTE FUNCTION newss_schedule_keep_runs();

CREATE FUNCTION newss_run_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('newss', 'run');
    RETURN NULL;
END $$;
CREATE TRIGGER newss_run_inserted AFTER INSERT ON scheduling_run
    FOR EACH STATEMENT EXECUTE FUNCTION newss_run_ring();
CREATE TRIGGER newss_run_cancel AFTER UPDATE OF cancel_requested_at ON scheduling_run
    FOR EACH STATEMENT EXECUTE FUNCTION newss_run_ring();

CREATE FUNCTION newss_hold_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('newss', 'hold');
    RETURN NULL;
END $$;
CREATE TRIGGER newss_hold_ring AFTER INSERT OR UPDATE OR DELETE ON scheduling_hold
    FOR EACH STATEMENT EXECUTE FUNCTION newss_hold_ring();
"""

POSTGRESQL_DOWN = """
DROP TRIGGER newss_hold_ring ON scheduling_hold;
DROP FUNCTION newss_hold_ring();
DROP TRIGGER newss_run_cancel ON scheduling_run;
DROP TRIGGER newss_run_inserted ON scheduling_run;
DROP FUNCTION newss_run_ring();
DROP TRIGGER newss_schedule_keep_runs ON scheduling_schedule;
DROP FUNCTION newss_schedule_keep_runs();
DROP TRIGGER newss_schedule_note ON scheduling_schedule;
DROP FUNCTION newss_schedule_note();
DROP TRIGGER newss_schedule_version ON scheduling_schedule;
DROP FUNCTION newss_schedule_version();
"""

SQLITE_NOTE = (
    "INSERT INTO scheduling_schedulechange (schedule_id, at) VALUES ({row}.id, strftime('%Y-%m-%d %H:%M:%f', 'now'));"
)

SQLITE_UP = [
    f"""CREATE TRIGGER newss_schedule_inserted AFTER INSERT ON scheduling_schedule BEGIN
        {SQLITE_NOTE.format(row="NEW")}
    END""",
    # SQLite's triggers do not fire themselves again unless PRAGMA recursive_triggers says so.
    f"""CREATE TRIGGER newss_schedule_updated AFTER UPDATE ON scheduling_schedule BEGIN
        UPDATE scheduling_schedule SET version = OLD.version + 1 WHERE id = NEW.id;
        {SQLITE_NOTE.format(row="NEW")}
    END""",
    """CREATE TRIGGER newss_schedule_pause_ended AFTER UPDATE OF paused_at ON scheduling_schedule
        WHEN OLD.paused_at IS NOT NULL AND NEW.paused_at IS NOT OLD.paused_at BEGIN
        INSERT OR IGNORE INTO scheduling_pause (schedule_id, started_at, ended_at, reason, paused_by_id)
        VALUES (OLD.id, OLD.paused_at,
                max(OLD.paused_at, min(strftime('%Y-%m-%d %H:%M:%f', 'now'), coalesce(OLD.paused_until, '9'))),
                OLD.pause_reason, OLD.paused_by_id);
    END""",
    f"""CREATE TRIGGER newss_schedule_deleted BEFORE DELETE ON scheduling_schedule BEGIN
        UPDATE scheduling_run SET schedule_id = NULL, backfill_id = NULL WHERE schedule_id = OLD.id;
        DELETE FROM scheduling_backfill WHERE schedule_id = OLD.id;
        DELETE FROM scheduling_followup WHERE OLD.id IN (predecessor_id, successor_id);
        DELETE FROM scheduling_pause WHERE schedule_id = OLD.id;
        DELETE FROM scheduling_schedulestate WHERE schedule_id = OLD.id;
        DELETE FROM scheduling_schedule_tags WHERE schedule_id = OLD.id;
        {SQLITE_NOTE.format(row="OLD")}
    END""",
]

SQLITE_DOWN = [
    "DROP TRIGGER newss_schedule_pause_ended",
    "DROP TRIGGER newss_schedule_inserted",
    "DROP TRIGGER newss_schedule_updated",
    "DROP TRIGGER newss_schedule_deleted",
]


def up(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Create the triggers of the database at hand."""
    for statement in [POSTGRESQL_UP] if editor.connection.vendor == "postgresql" else SQLITE_UP:
        editor.execute(statement, params=None)


def down(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Drop them."""
    for statement in [POSTGRESQL_DOWN] if editor.connection.vendor == "postgresql" else SQLITE_DOWN:
        editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0001_initial")]

    operations = [migrations.RunPython(up, down)]
