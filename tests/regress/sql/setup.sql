-- What the other files use: watches without a document view, and what was captured since one looked last.
SET client_min_messages = warning;
CREATE EXTENSION pg_conveyor;
CREATE TABLE note (id int PRIMARY KEY, body text);
CREATE VIEW note_document AS SELECT * FROM note;
SELECT conveyor.create_feed('notes', 'note_document');

CREATE SCHEMA test;
CREATE TABLE test.position (one int PRIMARY KEY, seen pg_snapshot);
INSERT INTO test.position VALUES (1, conveyor.latest_snapshot());

CREATE FUNCTION test.watch(relation regclass, columns text[], recorded text[]) RETURNS boolean LANGUAGE sql AS $$
    INSERT INTO conveyor.watch (feed, relation, columns, documents, recorded, derived)
    VALUES ('notes', relation, columns, 'SELECT 1', recorded, false)
    ON CONFLICT (feed, relation) DO UPDATE SET columns = excluded.columns, recorded = excluded.recorded;
    SELECT conveyor.install_capture(relation) IS NOT NULL;
$$;

CREATE FUNCTION test.unwatch(relation regclass) RETURNS boolean LANGUAGE sql AS $$
    DELETE FROM conveyor.watch w WHERE w.relation = unwatch.relation;
    SELECT conveyor.install_capture(relation) IS NULL;
$$;

CREATE FUNCTION test.captured() RETURNS TABLE (kind "char", relation text, entry jsonb) LANGUAGE plpgsql AS $$
DECLARE
    now pg_snapshot := conveyor.latest_snapshot();
BEGIN
    RETURN QUERY SELECT c.kind, c.relation::text, c.entry
                   FROM test.position AS p, conveyor.log_contents(p.seen) AS c
                  ORDER BY c.kind, c.relation::text, c.entry;
    UPDATE test.position SET seen = now;
END
$$;
