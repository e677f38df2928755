-- 36: DDL on captured tables: new partitions and children get their triggers, changed columns their capture, and what changed
-- contents without row triggers is signalled. DDL of users does not fail because of us: problems become warnings, the
-- deliveries and jobs concerned wait, and the audit goes on naming them. The exception is what would lose changes without a trace:
-- to drop a capture trigger by hand.

-- Set while capture_mend() and its like are at work. In C, because that loads the library: before, the setting's name is a
-- placeholder that anybody may set.
CREATE FUNCTION conveyor.is_installing() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'conveyor_is_installing';

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

-- The names as they are now: those that `renames` (old name: new name) knows are exchanged, all at once.
CREATE FUNCTION conveyor.renamed(names text[], renames jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT coalesce(renames ->> n.name, n.name) FROM unnest(names) WITH ORDINALITY AS n(name, number) ORDER BY n.number);

-- Columns of a capture that have another name than when it was made. Numbers tell: they never change.
CREATE FUNCTION conveyor.capture_renames(capture conveyor.capture) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_object_agg(c.name, a.attname), '{}')
          FROM unnest((capture).columns, (capture).numbers) AS c(name, number)
          JOIN pg_attribute a ON a.attrelid = (capture).relation AND a.attnum = c.number AND NOT a.attisdropped
         WHERE a.attname <> c.name);

-- A key query sees its columns by the names that it was written with.
CREATE FUNCTION conveyor.documents_renamed(documents text, recorded text[], renames jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN recorded && ARRAY(SELECT jsonb_object_keys(renames)) THEN
    format(E'WITH changed AS (SELECT %s FROM changed) SELECT * FROM (\n%s\n) AS d',
           (SELECT string_agg(CASE WHEN renames ? r.name THEN format('%I AS %I', renames ->> r.name, r.name) ELSE quote_ident(r.name) END, ', ' ORDER BY r.number)
              FROM unnest(recorded) WITH ORDINALITY AS r(name, number)),
           documents)
    ELSE documents END;

-- Watches follow columns that are renamed, and what was logged by the old names stays readable. A column that is gone goes, if
-- its key query does not read it. Watches that follow from a view are derived anew by what comes next: feeds_on_ddl().
-- Tables touched: capture, watch, feed_definition.
CREATE FUNCTION conveyor.capture_follow_columns(relation oid) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    renames CONSTANT jsonb := (SELECT conveyor.capture_renames(c) FROM conveyor.capture c
                                WHERE c.relation = capture_follow_columns.relation AND c.retired_at IS NULL);
    present CONSTANT text[] := ARRAY(SELECT a.attname::text FROM pg_attribute a
                                      WHERE a.attrelid = capture_follow_columns.relation AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum);
    needed  text[];
    each    conveyor.watch;
BEGIN
    IF renames <> '{}' THEN
        UPDATE conveyor.capture c
           SET columns = conveyor.renamed(c.columns, conveyor.capture_renames(c)), recorded = conveyor.renamed(c.recorded, conveyor.capture_renames(c))
         WHERE c.relation = capture_follow_columns.relation AND conveyor.capture_renames(c) <> '{}';
        UPDATE conveyor.feed_definition f SET root_key = conveyor.renamed(f.root_key, renames)
         WHERE f.root::oid = capture_follow_columns.relation AND f.root_key <> conveyor.renamed(f.root_key, renames);
    END IF;
    FOR each IN SELECT w.* FROM conveyor.watch w WHERE w.relation::oid = capture_follow_columns.relation LOOP
        needed := conveyor.renamed(each.recorded, renames);
        UPDATE conveyor.watch w
           SET recorded = needed,
               columns = ARRAY(SELECT n.name FROM unnest(conveyor.renamed(each.columns, renames)) WITH ORDINALITY AS n(name, number)
                                WHERE n.name = ANY (present || needed) ORDER BY n.number),
               documents = conveyor.documents_renamed(each.documents, each.recorded, renames)
         WHERE w.feed = each.feed AND w.relation = each.relation;
    END LOOP;
END
$$;

-- Compares a captured relation with its members and columns as they were, and puts the capture in place.
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
            PERFORM conveyor.capture_drop_strays(changed);
        END IF;
    END LOOP;
    PERFORM conveyor.capture_follow_columns(relation);
    FOR changed IN SELECT DISTINCT f.member FROM conveyor.capture_faults(present) AS f JOIN conveyor.capture_member cm ON cm.capture = present AND cm.member = f.member
                    WHERE f.fault = 'is not ENABLE ALWAYS' LOOP
        RAISE WARNING 'the capture triggers of % are enabled again', changed::regclass
            USING DETAIL = 'Without them changes would be lost for feeds or jobs.',
                  HINT = 'SELECT conveyor.drop_watch(feed, relation) takes them off for good.';
    END LOOP;
    PERFORM conveyor.install_capture(relation);
    FOR changed IN SELECT m.member FROM conveyor.capture_members(capture_follow.relation) AS m JOIN pg_class c ON c.oid = m.member AND c.relpersistence = 'u' LOOP
        RAISE WARNING 'table % is watched and unlogged: a crash empties it without a trace', changed::regclass
            USING HINT = format('Run ALTER TABLE %s SET LOGGED, or conveyor.resync_all() of its deliveries after every crash.', changed::regclass);
    END LOOP;
END
$$;

-- What cannot be captured must not be called delivered or migrated: the deliveries concerned wait and the jobs fail, and the
-- reason says what to do.
CREATE FUNCTION conveyor.capture_hold(relation oid, problem text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE conveyor.delivery_state s
       SET held_at = clock_timestamp(), updated_at = clock_timestamp(),
           held_reason = format('changes of %s cannot be captured: %s; SELECT * FROM conveyor.audit() says how to mend it, '
                                'then run SELECT conveyor.resume_delivery(%L)', capture_hold.relation::regclass, problem, s.delivery)
      FROM conveyor.delivery_definition d JOIN conveyor.watch w USING (feed)
     WHERE d.delivery = s.delivery AND w.relation::oid = capture_hold.relation AND s.held_at IS NULL;
    PERFORM conveyor.follow_fail(capture_hold.relation, format('changes of %s cannot be captured: %s', capture_hold.relation::regclass, problem));
END
$$;

CREATE FUNCTION conveyor.capture_on_ddl() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
BEGIN
    IF conveyor.is_installing() OR NOT EXISTS (SELECT FROM conveyor.capture WHERE retired_at IS NULL) THEN
        RETURN;
    END IF;
    FOR each IN
        WITH RECURSIVE touched AS (
            SELECT DISTINCT d.objid AS relation, CASE WHEN d.command_tag LIKE 'CREATE%' THEN d.objid END AS created
              FROM pg_event_trigger_ddl_commands() AS d
             WHERE d.classid = 'pg_class'::regclass AND d.command_tag IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE TABLE AS', 'SELECT INTO')
            UNION
            -- A capture trigger that was renamed or replaced.
            SELECT g.tgrelid, NULL FROM pg_event_trigger_ddl_commands() AS d JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
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
                USING HINT = 'The deliveries concerned wait, and the jobs that follow it stop. SELECT * FROM conveyor.audit() says what to do.';
            PERFORM conveyor.capture_signal(each.relation, format('the capture could not follow a change of the table: %s', SQLERRM));
            PERFORM conveyor.capture_hold(each.relation, SQLERRM);
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION conveyor.capture_on_ddl() IS 'event trigger: captures follow the tables that they watch';

-- Without its trigger a table's changes would be lost, and nothing would tell. Whoever drops it wants that; only not for those who
-- still need them.
CREATE FUNCTION conveyor.refuse_drop(table_name text[], trigger name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present  conveyor.capture;
    consumer conveyor.capture_need;
BEGIN
    SELECT c.* INTO present
      FROM conveyor.capture c
      JOIN conveyor.capture_member m USING (capture)
      JOIN pg_class k ON k.oid = m.member
      JOIN pg_namespace n ON n.oid = k.relnamespace
     WHERE c.retired_at IS NULL AND n.nspname = table_name[1] AND k.relname = table_name[2]
       AND trigger IN (conveyor.capture_trigger(c.capture), conveyor.truncate_trigger(c.capture));
    IF FOUND THEN
        SELECT n.* INTO consumer FROM conveyor.capture_need n WHERE n.relation = present.relation ORDER BY n.consumer LIMIT 1;
        RAISE EXCEPTION 'cannot drop trigger "%" on table %', trigger, format('%I.%I', table_name[1], table_name[2])
            USING ERRCODE = 'dependent_objects_still_exist',
                  DETAIL = format('Changes of the table would be lost for %s.', consumer.consumer),
                  HINT = CASE WHEN consumer.feed IS NOT NULL THEN format('Run SELECT conveyor.drop_watch(%L, %L) first.', consumer.feed, present.relation::regclass)
                              ELSE format('Run SELECT conveyor.cancel_migration(%L) first.', split_part(consumer.job, '.', 1)) END;
    END IF;
END
$$;

-- A dropped table or partition takes rows away unseen.
CREATE FUNCTION conveyor.note_drop(relation oid, identity text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT m.capture, c.relation = note_drop.relation AS whole
                  FROM conveyor.capture_member m JOIN conveyor.capture c USING (capture) WHERE m.member = note_drop.relation LOOP
        PERFORM conveyor.log_signal(each.capture, format('table %s was dropped', identity));
        IF each.whole THEN
            PERFORM conveyor.capture_retire(note_drop.relation);
        ELSE
            DELETE FROM conveyor.capture_member m WHERE m.capture = each.capture AND m.member = note_drop.relation;
        END IF;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'could not note that % was dropped: %', identity, SQLERRM
        USING HINT = 'SELECT * FROM conveyor.audit() says what to do.';
END
$$;

CREATE FUNCTION conveyor.capture_on_drop() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- DROP EXTENSION pg_conveyor itself comes here too, without the tables.
    IF to_regclass('conveyor.capture_member') IS NULL OR conveyor.is_installing() THEN
        RETURN;
    ELSIF tg_tag = 'DROP TRIGGER' THEN
        PERFORM conveyor.refuse_drop(d.address_names[1:2], d.address_names[3]) FROM pg_event_trigger_dropped_objects() AS d WHERE d.object_type = 'trigger';
    END IF;
    PERFORM conveyor.note_drop(d.objid, d.object_identity)
       FROM pg_event_trigger_dropped_objects() AS d
      WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND EXISTS (SELECT FROM conveyor.capture_member m WHERE m.member = d.objid);
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
    WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA', 'CREATE TRIGGER', 'ALTER TRIGGER') EXECUTE FUNCTION conveyor.capture_on_ddl();
CREATE EVENT TRIGGER conveyor_capture_on_drop ON sql_drop EXECUTE FUNCTION conveyor.capture_on_drop();
CREATE EVENT TRIGGER conveyor_capture_on_rewrite ON table_rewrite EXECUTE FUNCTION conveyor.capture_on_rewrite();
ALTER EVENT TRIGGER conveyor_capture_on_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER conveyor_capture_on_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER conveyor_capture_on_rewrite ENABLE ALWAYS;
