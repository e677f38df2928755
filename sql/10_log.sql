-- 10: the change log: a ring of unindexed heaps that only the capture trigger writes. docs/internals.md, "The log", has the
-- format. Nothing here is granted: the functions in C check no rights on these tables, their EXECUTE is what is granted.

CREATE TABLE conveyor.log_segment (
    number    int PRIMARY KEY CHECK (number >= 0),
    relation  regclass NOT NULL UNIQUE
);
COMMENT ON TABLE conveyor.log_segment IS 'segments of the change log, in ring order';

CREATE FUNCTION conveyor.log_segment_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'conveyor_log_segment_changed';
COMMENT ON FUNCTION conveyor.log_segment_changed() IS 'makes every session look at the ring again';

CREATE TRIGGER log_segment_changed AFTER INSERT OR UPDATE OR DELETE ON conveyor.log_segment
    FOR EACH STATEMENT EXECUTE FUNCTION conveyor.log_segment_changed();
ALTER TABLE conveyor.log_segment ENABLE ALWAYS TRIGGER log_segment_changed;

-- Adds segments at the end of the ring. Emptying keeps segments young, so autovacuum stays away; a vacuum that someone runs
-- by hand need not cut off empty pages: readers would forget how far they had read.
CREATE FUNCTION conveyor.log_add_segments(segments int) RETURNS int
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first int := (SELECT coalesce(max(number) + 1, 0) FROM conveyor.log_segment);
BEGIN
    FOR number IN first .. first + segments - 1 LOOP
        EXECUTE format($sql$
            CREATE TABLE conveyor.log_%s (
                xid         xid8 NOT NULL,
                flushed_at  timestamptz NOT NULL,
                capture     int4 NOT NULL,
                changes     int4 NOT NULL,
                kind        "char" NOT NULL,
                entries     bytea NOT NULL
            ) WITH (autovacuum_enabled = off, vacuum_truncate = off, toast.autovacuum_enabled = off)$sql$, number);
    END LOOP;
    INSERT INTO conveyor.log_segment (number, relation)
    SELECT n, format('conveyor.log_%s', n)::regclass FROM generate_series(first, first + segments - 1) AS n;
    RETURN first + segments;
END
$$;

SELECT conveyor.log_add_segments(16);

-- log_grow: adds segments, which become members of the extension; returns how many there are.
-- Tables touched: log_segment. Writers that still use the smaller ring lose nothing: readers look into every segment.
CREATE FUNCTION conveyor.log_grow(segments int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    total  int;
    number int;
BEGIN
    IF segments IS NULL OR segments < 1 THEN
        RAISE EXCEPTION 'number of segments to add must be at least 1'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Run SELECT conveyor.log_grow(16).';
    END IF;
    LOCK TABLE conveyor.log_segment IN SHARE ROW EXCLUSIVE MODE;
    total := conveyor.log_add_segments(segments);
    FOR number IN total - segments .. total - 1 LOOP
        EXECUTE format('ALTER EXTENSION pg_conveyor ADD TABLE conveyor.log_%s', number);
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION conveyor.log_grow(int) IS 'add segments to the change log; returns how many there are';

-- Every definition that a capture trigger ever had: rows in the log are read by it also after the trigger was made anew.
CREATE TABLE conveyor.capture (
    capture     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    relation    oid NOT NULL,
    columns     text[] NOT NULL,      -- compared
    recorded    text[] NOT NULL,      -- written
    types       oid[] NOT NULL,       -- of `recorded`
    nullable    boolean NOT NULL,     -- entries carry a null bitmap
    retired_at  timestamptz,
    numbers     int2[] NOT NULL,      -- of `columns`, in pg_attribute: tells a column that was renamed from one that is gone
    CHECK (cardinality(types) = cardinality(recorded)),
    CHECK (cardinality(numbers) = cardinality(columns))
);
CREATE UNIQUE INDEX capture_relation ON conveyor.capture (relation) WHERE retired_at IS NULL;
COMMENT ON TABLE conveyor.capture IS 'what the capture triggers record, present and past';

-- The tables that have the triggers of a capture: what was attached or detached since shows by comparison.
CREATE TABLE conveyor.capture_member (
    capture  int REFERENCES conveyor.capture,
    member   oid,
    PRIMARY KEY (capture, member)
);
CREATE INDEX capture_member_member ON conveyor.capture_member (member);
COMMENT ON TABLE conveyor.capture_member IS 'a captured relation, its partitions and its inheritance children';

CREATE FUNCTION conveyor.capture() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'conveyor_capture';
COMMENT ON FUNCTION conveyor.capture() IS 'records the keys of changed rows; made a trigger by install_capture()';

CREATE FUNCTION conveyor.capture_truncate() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'conveyor_capture_truncate';
COMMENT ON FUNCTION conveyor.capture_truncate() IS 'records a TRUNCATE; made a trigger by install_capture()';

CREATE FUNCTION conveyor.log_signal(capture int, reason text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'conveyor_log_signal';
COMMENT ON FUNCTION conveyor.log_signal(int, text) IS 'record that a relation must be compared as a whole';

CREATE FUNCTION conveyor.log_size() RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_log_size';
COMMENT ON FUNCTION conveyor.log_size() IS 'bytes of the change log';

CREATE FUNCTION conveyor.latest_snapshot() RETURNS pg_snapshot
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_latest_snapshot';
COMMENT ON FUNCTION conveyor.latest_snapshot() IS 'the latest snapshot, whatever the isolation level';

CREATE FUNCTION conveyor.log_pending(cursor pg_snapshot, captures int[],
                                     OUT changes bigint, OUT oldest timestamptz, OUT signals bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_log_pending';
COMMENT ON FUNCTION conveyor.log_pending(pg_snapshot, int[]) IS 'what the change log holds between a cursor and now';

CREATE FUNCTION conveyor.log_has_pending(cursor pg_snapshot, captures int[], upto pg_snapshot DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_log_has_pending';
COMMENT ON FUNCTION conveyor.log_has_pending(pg_snapshot, int[], pg_snapshot) IS
    'does the change log hold anything between a cursor and upto (or now)?';

CREATE FUNCTION conveyor.log_rotate() RETURNS int
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'conveyor_log_rotate';
COMMENT ON FUNCTION conveyor.log_rotate() IS
    'empty the segments of the change log that every delivery and job has left behind; returns how many';

CREATE FUNCTION conveyor.log_contents(after pg_snapshot DEFAULT NULL, OUT xid xid8, OUT flushed_at timestamptz, OUT capture int, OUT kind "char",
                                      OUT relation regclass, OUT entry jsonb) RETURNS SETOF record
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_log_contents';
COMMENT ON FUNCTION conveyor.log_contents(pg_snapshot) IS
    'what the change log holds beyond a snapshot, decoded: an object of column texts for keys, a text for a reason, an array of captures for an overflow';
