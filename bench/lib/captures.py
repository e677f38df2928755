"""The ways to record changes that are compared: how each is put on a table, and taken off again."""


class NoCapture:
    extensions = ()

    def prepare(self, db):
        """Once per database."""

    def attach(self, db, table, key):
        """Before a measurement."""

    def forget(self, db):
        """After a measurement: what was recorded goes."""


class EmptyTrigger(NoCapture):
    """What calling any C trigger costs."""

    def prepare(self, db):
        db.run("CREATE FUNCTION public.noop() RETURNS trigger LANGUAGE c AS '$libdir/conveyor_noop', 'conveyor_noop'")

    def attach(self, db, table, key):
        _row_trigger(db, table, "public.noop()")


class Conveyor(NoCapture):
    """A watch on all columns, as for a document that is the whole row."""
    extensions = ("pg_conveyor",)

    def attach(self, db, table, key):
        name = table.split(".")[-1]
        columns = [row[0] for row in db.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", (table,))]
        db.run(f"CREATE VIEW {table}_document AS SELECT * FROM {table}")
        db.run("SELECT conveyor.create_feed(%s, %s, ARRAY[%s])", (name, f"{table}_document", key))
        db.run("SELECT conveyor.add_watch(%s, %s, %s, %s)", (name, table, columns, f"SELECT {key} FROM changed"))

    def forget(self, db):
        db.run("SELECT conveyor.log_rotate()")


class PlpgsqlTrigger(NoCapture):
    """What one writes by hand: a row trigger that inserts into a log table without an index."""

    def prepare(self, db):
        db.run("CREATE TABLE public.change_log (xid xid8 NOT NULL, relation oid NOT NULL, op text NOT NULL, key bigint NOT NULL)")

    def attach(self, db, table, key):
        db.run(f"""CREATE OR REPLACE FUNCTION public.record_{key}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'DELETE' THEN
                    INSERT INTO public.change_log VALUES (pg_current_xact_id(), TG_RELID, TG_OP, OLD.{key});
                ELSE
                    INSERT INTO public.change_log VALUES (pg_current_xact_id(), TG_RELID, TG_OP, NEW.{key});
                END IF;
                RETURN NULL;
            END $$""")
        _row_trigger(db, table, f"public.record_{key}()")

    def forget(self, db):
        db.run("TRUNCATE public.change_log")


class Pgq(NoCapture):
    """PgQ's own C trigger, which writes the row as a URL-encoded string into the queue's event table."""
    extensions = ("pgq",)

    def prepare(self, db):
        db.run("SELECT pgq.create_queue('bench')")

    def attach(self, db, table, key):
        _row_trigger(db, table, "pgq.logutriga('bench')")

    def forget(self, db):
        for (event_table,) in db.rows(
                "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = 'pgq' AND c.relname ~ '^event_[0-9]+_[0-9]+$'"):
            db.run(f"TRUNCATE {event_table}")


def _row_trigger(db, table, function):
    db.run(f"CREATE TRIGGER record AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}")


NONE, EMPTY, CONVEYOR, PLPGSQL, PGQ = "none", "empty C trigger", "conveyor", "PL/pgSQL row trigger", "pgq logutriga"
VARIANTS = {NONE: NoCapture(), EMPTY: EmptyTrigger(), CONVEYOR: Conveyor(), PLPGSQL: PlpgsqlTrigger(), PGQ: Pgq()}
