-- 05: the journal: who did what, when. One row for every administrative act, written in the act's own transaction.

CREATE TABLE conveyor.journal_entry (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,
    action  text NOT NULL,
    object  text NOT NULL,
    detail  text
);
COMMENT ON TABLE conveyor.journal_entry IS 'what was done to the objects of this extension, and by whom; read it as the view journal';

CREATE FUNCTION conveyor.write_journal(action text, object text, detail text DEFAULT NULL, actor text DEFAULT NULL) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO conveyor.journal_entry (actor, action, object, detail)
    VALUES (coalesce(actor, conveyor.caller()), action, object, detail);
END;

CREATE VIEW conveyor.journal AS
SELECT at, actor, action, object, detail
  FROM conveyor.journal_entry
 ORDER BY id DESC;
COMMENT ON VIEW conveyor.journal IS 'every administrative act, the latest first';
