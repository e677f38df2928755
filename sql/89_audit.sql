-- 89: the auditor: compares what feeds, jobs and captures rely on with the catalogs.

-- A table that feeds watch, or that their views read, may be gone; another one of its name may have taken its place.
CREATE FUNCTION conveyor.audit_watches() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'error', format('feed %I', w.feed), format('the watched table with oid %s does not exist any more', w.relation::oid),
           format('SELECT conveyor.drop_watch(%L, %s::oid::regclass)', w.feed, w.relation::oid)
      FROM conveyor.watch w
     WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = w.relation)
    UNION ALL
    SELECT 'error', format('feed %I', w.feed), format('watched column "%s" of table %s does not exist any more', missing, w.relation),
           format('SELECT conveyor.drop_watch(%1$L, %2$L); SELECT conveyor.add_watch(%1$L, %2$L, ARRAY[…], …)', w.feed, w.relation)
      FROM conveyor.watch w
      JOIN pg_class c ON c.oid = w.relation,
           LATERAL (SELECT unnest(w.columns) UNION SELECT unnest(w.recorded)) AS n(missing)
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = w.relation AND a.attname = n.missing AND a.attnum > 0 AND NOT a.attisdropped)
    UNION ALL
    SELECT 'error', format('feed %I', f.feed), format('its view with oid %s does not exist any more', f.document_view::oid),
           format('SELECT conveyor.drop_feed(%L)', f.feed)
      FROM conveyor.feed_definition f
     WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = f.document_view)
    UNION ALL
    SELECT 'error', format('feed %I', f.feed), format('column "%s" of its key is not among the columns of view %s', k.name, f.document_view),
           format('SELECT conveyor.drop_feed(%1$L), then conveyor.create_feed(%1$L, …) with the key as it is', f.feed)
      FROM conveyor.feed_definition f
      JOIN pg_class c ON c.oid = f.document_view,
           LATERAL unnest(f.key) AS k(name)
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = f.document_view AND a.attname = k.name AND a.attnum > 0 AND NOT a.attisdropped)
    UNION ALL
    SELECT 'error', format('feed %I', f.feed), format('column "%s" of its key is not among the columns of its root %s', k.name, f.root),
           format('SELECT conveyor.drop_feed(%1$L), then conveyor.create_feed(%1$L, …) with the key as it is', f.feed)
      FROM conveyor.feed_definition f
      JOIN pg_class c ON c.oid = f.root,
           LATERAL unnest(f.root_key) AS k(name)
     WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = f.root AND a.attname = k.name AND a.attnum > 0 AND NOT a.attisdropped)
    UNION ALL
    SELECT 'warning', format('feed %I', f.feed), format('its view reads %s, which the feed does not watch', r.relation),
           format('SELECT conveyor.add_watch(%L, %L, ARRAY[…], …)', f.feed, r.relation)
      FROM conveyor.feed_definition f,
           LATERAL unnest(f.relations) AS r(relation)
     WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = r.relation)
       AND NOT EXISTS (SELECT FROM conveyor.watch w WHERE w.feed = f.feed AND w.relation = r.relation)
    UNION ALL
    -- What the view reads now, where it is not what was noted: its definition, or a table behind it, was exchanged.
    SELECT 'warning', format('feed %I', f.feed), format('view %s reads %s now, which was not known when the feed was made', f.document_view, d.refobjid::regclass),
           format('SELECT conveyor.add_watch(%L, %L, ARRAY[…], …)', f.feed, d.refobjid::regclass)
      FROM conveyor.feed_definition f
      JOIN pg_rewrite r ON r.ev_class = f.document_view
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'n'
      JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'f')
     WHERE d.refobjid <> ALL (f.relations::oid[])
       AND NOT EXISTS (SELECT FROM conveyor.watch w WHERE w.feed = f.feed AND w.relation = d.refobjid)
     GROUP BY f.feed, f.document_view, d.refobjid;
END;

CREATE FUNCTION conveyor.audit_captures() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH watched AS (
        SELECT DISTINCT n.relation::regclass FROM conveyor.capture_need n JOIN pg_class c ON c.oid = n.relation
    )
    SELECT 'error', format('table %s', w.relation), 'its changes are not captured', format('SELECT conveyor.install_capture(%L::regclass)', w.relation)
      FROM watched w
     WHERE NOT EXISTS (SELECT FROM conveyor.capture c WHERE c.relation = w.relation AND c.retired_at IS NULL)
    UNION ALL
    SELECT 'error', format('table %s', w.relation), 'its capture is not what feeds and jobs need', format('SELECT conveyor.install_capture(%L::regclass)', w.relation)
      FROM watched w
      JOIN conveyor.capture c ON c.relation = w.relation AND c.retired_at IS NULL,
           LATERAL conveyor.capture_needed(w.relation) AS n
     WHERE n.missing IS NULL
       AND (n.columns, n.recorded, n.types, n.nullable, n.numbers) IS DISTINCT FROM (c.columns, c.recorded, c.types, c.nullable, c.numbers)
    UNION ALL
    SELECT DISTINCT 'error', format('table %s', m.member::regclass), 'is unlogged: a crash empties it without a trace', format('ALTER TABLE %s SET LOGGED', m.member::regclass)
      FROM watched w, LATERAL conveyor.capture_members(w.relation) AS m
      JOIN pg_class c ON c.oid = m.member AND c.relpersistence = 'u'
    UNION ALL
    SELECT 'error', format('table %s', f.member::regclass), format('trigger "%s" %s', f.trigger, f.fault),
           format('SELECT conveyor.install_capture(%L::regclass), then conveyor.resync_all() of the deliveries concerned', c.relation::regclass)
      FROM conveyor.capture c
      JOIN pg_class k ON k.oid = c.relation,
           LATERAL conveyor.capture_faults(c.capture) AS f
     WHERE c.retired_at IS NULL
    UNION ALL
    SELECT 'warning', format('table %s', t.relation), format('trigger "%s" belongs to no capture', stray), format('DROP TRIGGER %I ON %s', stray, t.relation)
      FROM (SELECT DISTINCT tgrelid::regclass AS relation FROM pg_trigger
             WHERE tgfoid IN ('conveyor.capture()'::regprocedure, 'conveyor.capture_truncate()'::regprocedure)) AS t,
           LATERAL conveyor.capture_strays(t.relation) AS stray
    UNION ALL
    SELECT 'error', format('event trigger %s', n.name), 'is missing or not ENABLE ALWAYS', format('ALTER EVENT TRIGGER %s ENABLE ALWAYS', n.name)
      FROM (VALUES ('conveyor_capture_on_ddl'), ('conveyor_capture_on_drop'), ('conveyor_capture_on_rewrite')) AS n(name)
     WHERE NOT EXISTS (SELECT FROM pg_event_trigger e WHERE e.evtname = n.name AND e.evtenabled = 'A');
END;

-- audit: what no longer holds, and the command that mends it. Changes nothing.
CREATE FUNCTION conveyor.audit() RETURNS TABLE (severity text, object text, problem text, remedy text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.* FROM conveyor.audit_watches() AS a
    UNION ALL
    SELECT a.* FROM conveyor.audit_captures() AS a
    UNION ALL
    SELECT a.* FROM conveyor.audit_migrations() AS a
    ORDER BY 1, 2, 3;
END;
COMMENT ON FUNCTION conveyor.audit() IS 'what no longer holds between feeds, jobs, captures and the tables, with the command that mends it';
