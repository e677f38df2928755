-- 35: putting the capture triggers in place. A relation has one capture: the union of what all feeds and jobs need, who stand
-- in the view capture_need (87_follow.sql).

-- What the capture of a relation has to be; NULLs when nobody needs one. Columns in the table's order, so that the same
-- needs always make the same definition. `missing`: columns that are needed and that the table does not have (any more).
CREATE FUNCTION conveyor.capture_needed(relation oid, OUT columns text[], OUT recorded text[], OUT types oid[], OUT nullable boolean,
                                        OUT numbers int2[], OUT missing text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT array_agg(u.name ORDER BY a.attnum),
           coalesce(array_agg(u.name ORDER BY a.attnum) FILTER (WHERE u.is_recorded), '{}'),
           coalesce(array_agg(a.atttypid ORDER BY a.attnum) FILTER (WHERE u.is_recorded), '{}'),
           coalesce(bool_or(NOT a.attnotnull) FILTER (WHERE u.is_recorded), false),
           array_agg(a.attnum ORDER BY a.attnum),
           string_agg(format('"%s" (%s)', u.name, u.consumer), ', ' ORDER BY u.name) FILTER (WHERE a.attnum IS NULL)
      INTO columns, recorded, types, nullable, numbers, missing
      FROM (SELECT c.name, bool_or(c.is_recorded) AS is_recorded, min(n.consumer) AS consumer
              FROM conveyor.capture_need n,
                   LATERAL (SELECT unnest(n.columns), false UNION ALL SELECT unnest(n.recorded), true) AS c(name, is_recorded)
             WHERE n.relation = capture_needed.relation
             GROUP BY c.name) AS u
      LEFT JOIN pg_attribute a ON a.attrelid = capture_needed.relation AND a.attname = u.name AND a.attnum > 0 AND NOT a.attisdropped;
END
$$;

-- The relation with all its partitions, or its inheritance children, at any depth.
CREATE FUNCTION conveyor.capture_members(relation oid) RETURNS TABLE (member oid, depth int)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE members AS (
        SELECT capture_members.relation AS member, 0 AS depth
        UNION ALL
        SELECT i.inhrelid, m.depth + 1 FROM members m JOIN pg_inherits i ON i.inhparent = m.member
    )
    SELECT m.member, min(m.depth) FROM members m JOIN pg_class c ON c.oid = m.member AND c.relkind IN ('r', 'p') GROUP BY m.member;
END;

-- Which members need a row trigger of their own: a partition has a clone of its parent's, an inheritance child has nothing.
CREATE FUNCTION conveyor.capture_has_own_row_trigger(relation oid, member oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN member = relation OR NOT (SELECT c.relispartition FROM pg_class c WHERE c.oid = member);

-- The names carry the capture: where a table and one that it is a part of are both watched it has the triggers of both, and
-- a table that is watched itself can become a partition of one that is.
CREATE FUNCTION conveyor.capture_trigger(capture int) RETURNS name
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN 'conveyor_capture_' || capture;

CREATE FUNCTION conveyor.truncate_trigger(capture int) RETURNS name
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN 'conveyor_truncate_' || capture;

-- Triggers of ours on a table that belong to no capture which is in use and has the table as a member: left behind by a
-- definition that was retired, by a DETACH, or by a dump of another database. Clones go with their parent's trigger.
CREATE FUNCTION conveyor.capture_strays(member oid) RETURNS SETOF name
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.tgname FROM pg_trigger t
     WHERE t.tgrelid = capture_strays.member AND t.tgparentid = 0
       AND t.tgfoid IN ('conveyor.capture()'::regprocedure, 'conveyor.capture_truncate()'::regprocedure)
       AND NOT EXISTS (SELECT FROM conveyor.capture c, LATERAL conveyor.capture_members(c.relation) AS m
                        WHERE c.retired_at IS NULL AND m.member = t.tgrelid
                          AND t.tgname IN (conveyor.capture_trigger(c.capture), conveyor.truncate_trigger(c.capture)))
     ORDER BY t.tgname;
END;

-- Triggers of ours that are not what `capture` asks for, and members that have none. `arguments` of a row trigger are all of
-- a definition's, of a truncate trigger the capture alone.
CREATE FUNCTION conveyor.capture_faults(capture int) RETURNS TABLE (member oid, trigger name, fault text, depth int)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.capture;
BEGIN
    SELECT c.* INTO present FROM conveyor.capture c WHERE c.capture = capture_faults.capture;
    RETURN QUERY
    SELECT m.member, want.trigger,
           CASE WHEN t.oid IS NULL THEN 'is missing'
                WHEN t.tgenabled <> 'A' THEN 'is not ENABLE ALWAYS'
                ELSE 'records something else' END,
           m.depth
      FROM conveyor.capture_members(present.relation) AS m
     CROSS JOIN (VALUES (conveyor.capture_trigger(present.capture), 'conveyor.capture()'::regprocedure, 29::int2, conveyor.capture_arguments(present)),
                        (conveyor.truncate_trigger(present.capture), 'conveyor.capture_truncate()'::regprocedure, 32::int2, ARRAY[present.capture::text]))
           AS want(trigger, function, type, arguments)
      LEFT JOIN pg_trigger t ON t.tgrelid = m.member AND t.tgname = want.trigger
     WHERE t.oid IS NULL OR t.tgenabled <> 'A' OR t.tgfoid <> want.function OR t.tgtype <> want.type OR t.tgqual IS NOT NULL
        OR t.tgargs <> conveyor.trigger_arguments(want.arguments)
     ORDER BY m.depth, m.member, want.trigger;
END
$$;

CREATE FUNCTION conveyor.capture_arguments(capture conveyor.capture) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN ARRAY[(capture).capture::text, (capture).columns::text, (capture).recorded::text, left((capture).nullable::text, 1), (capture).types::text];

-- As pg_trigger stores arguments: each followed by a zero byte.
CREATE FUNCTION conveyor.trigger_arguments(arguments text[]) RETURNS bytea
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT string_agg(convert_to(a, getdatabaseencoding()) || '\x00', '' ORDER BY n) FROM unnest(arguments) WITH ORDINALITY AS u(a, n));

-- Locks against writers, without making them queue behind us for long: a lock that waits blocks everybody who comes after. Gives
-- up well before the caller's statement_timeout, since a timeout would end more than this: a DDL statement of a user.
CREATE FUNCTION conveyor.capture_lock(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '2s'
AS $$
DECLARE
    allowed  CONSTANT int := (SELECT s.setting FROM pg_settings s WHERE s.name = 'statement_timeout');  -- ms; 0: any time
    patience CONSTANT interval := make_interval(secs => CASE allowed WHEN 0 THEN 25 ELSE least(25, allowed / 3000.0) END);
    deadline CONSTANT timestamptz := clock_timestamp() + patience;
    attempt  int := 0;
BEGIN
    PERFORM set_config('lock_timeout', greatest(1, least(2000, floor(extract(epoch FROM patience) * 500)))::text, true);
    WHILE attempt = 0 OR clock_timestamp() < deadline LOOP
        attempt := attempt + 1;
        BEGIN
            EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', relation);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(extract(epoch FROM patience) / 250 * attempt);
        END;
    END LOOP;
    RAISE EXCEPTION 'could not lock table % to change what is captured', relation
        USING ERRCODE = 'lock_not_available',
              DETAIL = 'Transactions that write to it were running all the time; they capture by the old definition and must end first.',
              HINT = format('Find them by SELECT pid, xact_start, query FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks WHERE relation = %L::regclass), and call again.', relation);
END
$$;

CREATE FUNCTION conveyor.capture_drop_strays(member regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET conveyor.installing = on
AS $$
DECLARE
    stray name;
BEGIN
    FOR stray IN SELECT s FROM conveyor.capture_strays(member) AS s LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', stray, member);
    END LOOP;
END
$$;

-- Makes the triggers of one member anew. A partition's row trigger is a clone of its parent's: it is only enabled.
CREATE FUNCTION conveyor.capture_mend(capture conveyor.capture, member regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET conveyor.installing = on
AS $$
DECLARE
    for_rows     CONSTANT name := conveyor.capture_trigger(capture.capture);
    for_truncate CONSTANT name := conveyor.truncate_trigger(capture.capture);
BEGIN
    IF conveyor.capture_has_own_row_trigger(capture.relation, member) THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION conveyor.capture(%s)',
            for_rows, member, (SELECT string_agg(quote_literal(a), ', ' ORDER BY n)
                                 FROM unnest(conveyor.capture_arguments(capture)) WITH ORDINALITY AS u(a, n)));
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION conveyor.capture_truncate(%L)',
        for_truncate, member, capture.capture);
    EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I, ENABLE ALWAYS TRIGGER %I', member, for_rows, for_truncate);
END
$$;

-- Takes a definition out of use; its rows in the log stay readable.
CREATE FUNCTION conveyor.capture_retire(relation oid) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone int;
BEGIN
    UPDATE conveyor.capture c SET retired_at = clock_timestamp()
     WHERE c.relation = capture_retire.relation AND c.retired_at IS NULL RETURNING c.capture INTO gone;
    DELETE FROM conveyor.capture_member m WHERE m.capture = gone;
END
$$;

-- Is what is there what is needed?
CREATE FUNCTION conveyor.capture_is_right(relation oid) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    needed  record;
    present conveyor.capture;
    strays  CONSTANT boolean := EXISTS (SELECT FROM conveyor.capture_members(capture_is_right.relation) AS m, conveyor.capture_strays(m.member));
BEGIN
    SELECT n.* INTO needed FROM conveyor.capture_needed(relation) AS n;
    SELECT c.* INTO present FROM conveyor.capture c WHERE c.relation = capture_is_right.relation AND c.retired_at IS NULL;
    IF needed.columns IS NULL THEN
        RETURN present.capture IS NULL AND NOT strays;
    END IF;
    RETURN NOT strays AND needed.missing IS NULL
       AND (needed.columns, needed.recorded, needed.types, needed.nullable, needed.numbers)
           IS NOT DISTINCT FROM (present.columns, present.recorded, present.types, present.nullable, present.numbers)
       AND NOT EXISTS (SELECT FROM conveyor.capture_faults(present.capture))
       AND NOT EXISTS (SELECT m.member FROM conveyor.capture_members(capture_is_right.relation) AS m
                       EXCEPT SELECT cm.member FROM conveyor.capture_member cm WHERE cm.capture = present.capture);
END
$$;

-- install_capture
--   relation   a table that feeds or jobs need, or needed
-- Returns the capture, NULL when nobody needs one. Does nothing when triggers and definition are what is needed. For
-- a new definition the lock waits for the transactions that write by the old one, so whoever reads the table afterwards
-- sees their rows; partitions that came without triggers are mended without it.
-- Tables touched: capture, capture_member; the relation and its partitions or children get their triggers.
CREATE FUNCTION conveyor.install_capture(relation oid) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    needed  record;
    present conveyor.capture;
    renewed boolean := false;
    each    regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = install_capture.relation) THEN
        PERFORM conveyor.capture_retire(relation);
        RETURN NULL;
    END IF;
    IF NOT conveyor.capture_is_right(relation) THEN
        SELECT n.* INTO needed FROM conveyor.capture_needed(relation) AS n;
        IF needed.missing IS NOT NULL THEN
            RAISE EXCEPTION 'table % has no column %', relation::regclass, needed.missing
                USING ERRCODE = 'undefined_column',
                      DETAIL = 'Whoever needs it must be told; until then every change of the table asks for a re-check.',
                      HINT = format('For a feed, run SELECT conveyor.drop_watch(feed, %L), then conveyor.add_watch() with the columns as they are; '
                                    'a migration is to be cancelled and made anew.', relation::regclass);
        END IF;
        SELECT c.* INTO present FROM conveyor.capture c WHERE c.relation = install_capture.relation AND c.retired_at IS NULL;
        IF (needed.columns, needed.recorded, needed.types, needed.nullable, needed.numbers)
           IS DISTINCT FROM (present.columns, present.recorded, present.types, present.nullable, present.numbers) THEN
            PERFORM conveyor.capture_lock(relation);
            PERFORM conveyor.capture_retire(relation);
            present := NULL;
            renewed := needed.columns IS NOT NULL;
        END IF;
        -- Parents first: a partition's row trigger comes and goes with its parent's. Before the new definition has its number: a
        -- trigger that a dump brought here may have the same one and look right, and sessions know it as one that records nothing.
        FOR each IN SELECT m.member FROM conveyor.capture_members(relation) AS m ORDER BY m.depth, m.member LOOP
            PERFORM conveyor.capture_drop_strays(each);
        END LOOP;
        IF renewed THEN
            INSERT INTO conveyor.capture AS c (relation, columns, recorded, types, nullable, numbers)
            VALUES (relation, needed.columns, needed.recorded, needed.types, needed.nullable, needed.numbers)
            RETURNING c.* INTO present;
        END IF;
        IF present.capture IS NOT NULL THEN
            -- Twice, because a clone that comes with its parent's trigger is not enabled yet.
            FOR pass IN 1 .. 2 LOOP
                FOR each IN SELECT f.member FROM conveyor.capture_faults(present.capture) AS f GROUP BY f.member ORDER BY min(f.depth), f.member LOOP
                    PERFORM conveyor.capture_mend(present, each);
                END LOOP;
            END LOOP;
            INSERT INTO conveyor.capture_member (capture, member)
            SELECT present.capture, m.member FROM conveyor.capture_members(relation) AS m ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN (SELECT c.capture FROM conveyor.capture c WHERE c.relation = install_capture.relation AND c.retired_at IS NULL);
END
$$;
COMMENT ON FUNCTION conveyor.install_capture(oid) IS
    'put the capture triggers of a relation in place as feeds and jobs need them; does nothing when they are';
