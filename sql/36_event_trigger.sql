-- 36: DDL on watched tables: new partitions and children get their triggers, changed columns their capture, and what changed
-- contents without row triggers is signalled. DDL of users never fails because of us: problems become warnings, and the
-- audit goes on naming them.

-- Says that the contents of `relation`, or of what it is a part of, may have changed unseen.
CREATE FUNCTION conveyor.capture_signal(relation oid, reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    concerned int;
BEGIN
    FOR concerned IN SELECT m.capture FROM conveyor.capture_member m WHERE m.member = capture_signal.relation ORDER BY 1 LOOP
        PERFORM conveyor.log_signal(concerned, reason);
    END LOOP;
END
$$;

-- Compares a captured relation with its members as they were, and puts the capture in place.
CREATE FUNCTION conveyor.capture_follow(relation oid, created oid) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present int := (SELECT c.capture FROM conveyor.capture c WHERE c.relation = capture_follow.relation AND c.retired_at IS NULL);
    changed oid;
BEGIN
    FOR changed IN SELECT m.member FROM conveyor.capture_members(capture_follow.relation) AS m
                    WHERE m.member IS DISTINCT FROM created   -- a new one is empty
                   EXCEPT SELECT cm.member FROM conveyor.capture_member cm WHERE cm.capture = present LOOP
        PERFORM conveyor.log_signal(present, format('%s became a part of %s', changed::regclass, relation::regclass));
    END LOOP;
    FOR changed IN DELETE FROM conveyor.capture_member cm
                    WHERE cm.capture = present
                      AND cm.member NOT IN (SELECT m.member FROM conveyor.capture_members(capture_follow.relation) AS m)
                   RETURNING cm.member LOOP
        PERFORM conveyor.log_signal(present, format('%s is no longer a part of %s', changed::regclass, relation::regclass));
        IF EXISTS (SELECT FROM pg_class c WHERE c.oid = changed) THEN
            PERFORM conveyor.capture_drop_triggers(changed);
        END IF;
    END LOOP;
    PERFORM conveyor.install_capture(relation);
END
$$;

CREATE FUNCTION conveyor.capture_on_ddl() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
BEGIN
    IF current_setting('conveyor.installing', true) = 'on' OR NOT EXISTS (SELECT FROM conveyor.capture WHERE retired_at IS NULL) THEN
        RETURN;
    END IF;
    FOR each IN
        WITH RECURSIVE touched AS (
            SELECT DISTINCT d.objid AS relation, CASE WHEN d.command_tag LIKE 'CREATE%' THEN d.objid END AS created
              FROM pg_event_trigger_ddl_commands() AS d
             WHERE d.classid = 'pg_class'::regclass AND d.command_tag IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE TABLE AS', 'SELECT INTO')
            UNION
            SELECT i.inhparent, t.created FROM touched t JOIN pg_inherits i ON i.inhrelid = t.relation
        ), concerned AS (
            SELECT t.relation, t.created FROM touched t
            UNION
            -- What was detached is found through what it was a part of.
            SELECT c.relation, t.created FROM touched t JOIN conveyor.capture_member m ON m.member = t.relation JOIN conveyor.capture c USING (capture)
        )
        SELECT t.relation, max(t.created) AS created FROM concerned t JOIN conveyor.capture c ON c.relation = t.relation AND c.retired_at IS NULL
         GROUP BY t.relation
    LOOP
        BEGIN
            PERFORM conveyor.capture_follow(each.relation, each.created);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'could not put the capture of % in place: %', each.relation::regclass, SQLERRM
                USING HINT = 'SELECT * FROM conveyor.audit() says what to do.';
            PERFORM conveyor.capture_signal(each.relation, format('the capture could not follow a change of the table: %s', SQLERRM));
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION conveyor.capture_on_ddl() IS 'event trigger: captures follow the tables that they watch';

CREATE FUNCTION conveyor.capture_on_drop() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
BEGIN
    -- DROP EXTENSION pg_conveyor itself comes here too, without the tables.
    IF current_setting('conveyor.installing', true) = 'on' OR to_regclass('conveyor.capture_member') IS NULL THEN
        RETURN;
    END IF;
    FOR each IN
        SELECT d.objid, d.object_identity, c.relation = d.objid AS whole, m.capture
          FROM pg_event_trigger_dropped_objects() AS d
          JOIN conveyor.capture_member m ON m.member = d.objid
          JOIN conveyor.capture c USING (capture)
         WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0
    LOOP
        PERFORM conveyor.log_signal(each.capture, format('table %s was dropped', each.object_identity));
        IF each.whole THEN
            PERFORM conveyor.capture_retire(each.objid);
        ELSE
            DELETE FROM conveyor.capture_member m WHERE m.capture = each.capture AND m.member = each.objid;
        END IF;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'could not note what was dropped: %', SQLERRM
        USING HINT = 'SELECT * FROM conveyor.audit() says what to do.';
END
$$;
COMMENT ON FUNCTION conveyor.capture_on_drop() IS 'event trigger: a dropped table or partition takes rows away unseen';

CREATE FUNCTION conveyor.capture_on_rewrite() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Reasons: 1 persistence, 2 a column with a default, 4 a column's type, 8 the access method. 2 and 4 make new contents.
    IF pg_event_trigger_table_rewrite_reason() & 6 <> 0 THEN
        PERFORM conveyor.capture_signal(pg_event_trigger_table_rewrite_oid(),
            format('%s was rewritten', pg_event_trigger_table_rewrite_oid()::regclass));
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'could not note that % was rewritten: %', pg_event_trigger_table_rewrite_oid()::regclass, SQLERRM
        USING HINT = 'Run SELECT conveyor.resync_all(delivery) for the deliveries that read it.';
END
$$;
COMMENT ON FUNCTION conveyor.capture_on_rewrite() IS 'event trigger: a rewrite changes contents unseen';

CREATE EVENT TRIGGER conveyor_capture_on_ddl ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE TABLE AS', 'SELECT INTO') EXECUTE FUNCTION conveyor.capture_on_ddl();
CREATE EVENT TRIGGER conveyor_capture_on_drop ON sql_drop EXECUTE FUNCTION conveyor.capture_on_drop();
CREATE EVENT TRIGGER conveyor_capture_on_rewrite ON table_rewrite EXECUTE FUNCTION conveyor.capture_on_rewrite();
ALTER EVENT TRIGGER conveyor_capture_on_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER conveyor_capture_on_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER conveyor_capture_on_rewrite ENABLE ALWAYS;
