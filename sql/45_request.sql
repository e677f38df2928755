-- 45: requests: documents to be sent although nothing changed. A request is filled range by range (backfill, recheck,
-- resync_all) or page by page (keys); the both-ways kinds then sweep: what the target has and the view has not goes.
-- `compare` goes both ways too, but looks for keys only, and sends what is missing: the last step before an index that was
-- filled beside another takes its place.

CREATE TABLE conveyor.request (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery      text NOT NULL REFERENCES conveyor.delivery_definition ON DELETE CASCADE ON UPDATE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('backfill', 'recheck', 'resync_all', 'compare', 'keys')),
    phase         text NOT NULL DEFAULT 'fill' CHECK (phase IN ('fill', 'sweep')),
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('loading', 'open', 'paused', 'finished', 'cancelled', 'failed')),
    reason        text,
    at_least      pg_snapshot NOT NULL,              -- every read for the request must contain it
    position      text[],                            -- end of the last range handed out
    exhausted     boolean NOT NULL DEFAULT false,    -- no range is left to hand out
    ranges        int NOT NULL DEFAULT 0,            -- handed out so far
    keys_done     bigint NOT NULL DEFAULT 0,
    keys_total    bigint,                            -- an estimate, but exact for keys; NULL: unknown
    requested_by  text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at    timestamptz,
    finished_at   timestamptz,
    last_error    text,
    source        text CHECK (source IN ('query', 'file')),    -- of the keys; NULL: they were given, or kind says it
    loader        int,                               -- the session that brings the keys, while it does
    loader_since  timestamptz,
    CHECK ((finished_at IS NULL) = (state IN ('loading', 'open', 'paused'))),
    CHECK ((state = 'loading') = (loader IS NOT NULL)),
    CHECK (kind = 'keys' OR (state <> 'loading' AND source IS NULL)),
    CHECK (phase = 'fill' OR (kind IN ('recheck', 'resync_all', 'compare') AND exhausted))
) WITH (fillfactor = 50);
-- One of a kind at a time; a new one replaces it. Keys may queue up.
CREATE UNIQUE INDEX request_open ON conveyor.request (delivery, kind) WHERE state IN ('open', 'paused') AND kind <> 'keys';
CREATE INDEX request_delivery ON conveyor.request (delivery, id);
-- What is read all the time must not cost more because much was done before.
CREATE INDEX request_active ON conveyor.request (delivery, id) WHERE state IN ('open', 'paused');
CREATE INDEX request_loading ON conveyor.request (id) WHERE state = 'loading';
CREATE INDEX request_fill ON conveyor.request (delivery, id) WHERE kind IN ('backfill', 'recheck') AND state <> 'cancelled';
COMMENT ON TABLE conveyor.request IS 'backfills, re-checks and resyncs; read them as the view resync_status';

-- Ranges that an agent works on; a finished one is deleted.
CREATE TABLE conveyor.request_range (
    request    bigint NOT NULL REFERENCES conveyor.request ON DELETE CASCADE,
    range      int NOT NULL,
    first_key  text[],                               -- exclusive; NULL: from the beginning
    last_key   text[],                               -- inclusive; NULL: to the end
    lease      bigint NOT NULL,
    PRIMARY KEY (request, range)
);

-- Keys that are still to be sent, in pages: millions of them are thousands of rows.
CREATE TABLE conveyor.request_page (
    request  bigint NOT NULL REFERENCES conveyor.request ON DELETE CASCADE,
    number   bigint NOT NULL,                        -- of the first key in the request, from 1
    keys     text[] NOT NULL CHECK (cardinality(keys) > 0),
    PRIMARY KEY (request, number)
);

-- Rows of the root as the planner knows them (partitions added up); NULL before the first ANALYZE.
CREATE FUNCTION conveyor.documents_estimate(delivery text) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN min(c.reltuples) >= 0 THEN sum(c.reltuples)::bigint END
      FROM conveyor.delivery_definition d
      JOIN conveyor.feed_definition f USING (feed)
     CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(f.root) WHERE isleaf UNION SELECT f.root) AS leaf(relid)
      JOIN pg_class c ON c.oid = leaf.relid AND c.relkind = 'r'
     WHERE d.delivery = documents_estimate.delivery;
END;

CREATE FUNCTION conveyor.open_request(delivery text, kind text, at_least pg_snapshot, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id bigint;
BEGIN
    -- The wider request does the work of the narrower: a re-check sends everything and removes what is too much.
    WITH replaced AS (
        UPDATE conveyor.request r
           SET state = 'cancelled', finished_at = clock_timestamp(), last_error = 'replaced by a newer request'
         WHERE r.delivery = open_request.delivery AND r.state IN ('open', 'paused') AND r.kind <> 'keys'
           AND (r.kind = open_request.kind OR (open_request.kind = 'recheck' AND r.kind IN ('backfill', 'resync_all', 'compare')))
        RETURNING r.id
    )
    DELETE FROM conveyor.request_range g USING replaced WHERE g.request = replaced.id;
    INSERT INTO conveyor.request (delivery, kind, at_least, reason, keys_total, requested_by)
    VALUES (delivery, kind, at_least, reason, CASE WHEN open_request.kind <> 'keys' THEN conveyor.documents_estimate(delivery) END, conveyor.caller())
    RETURNING request.id INTO id;
    RETURN id;
END
$$;

-- Everything of the delivery is in doubt: it is stale until a both-ways re-check has been done. The cursor jumps to the
-- latest snapshot (what lies before it, the re-check reads) and the lease changes, so that no window in progress moves it.
CREATE FUNCTION conveyor.open_recheck(delivery text, reason text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.delivery_state;
    start pg_snapshot;
BEGIN
    SELECT s.* INTO state FROM conveyor.delivery_state s WHERE s.delivery = open_recheck.delivery FOR UPDATE;
    start := conveyor.latest_snapshot();
    UPDATE conveyor.delivery_state s
       SET cursor = start, advanced_at = clock_timestamp(), stale_at = clock_timestamp(), stale_reason = reason, updated_at = clock_timestamp()
     WHERE s.delivery = open_recheck.delivery;
    PERFORM conveyor.new_lease(delivery, state.agent);
    RETURN conveyor.open_request(delivery, 'recheck', start, reason);
END
$$;

CREATE FUNCTION conveyor.recheck_feed(feed text, reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    delivery text;
BEGIN
    FOR delivery IN SELECT d.delivery FROM conveyor.delivery_definition d WHERE d.feed = recheck_feed.feed ORDER BY d.delivery LOOP
        PERFORM conveyor.open_recheck(delivery, reason);
    END LOOP;
END
$$;

CREATE FUNCTION conveyor.mark_stale(delivery text, lease bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.lock_lease(delivery, lease);
    PERFORM conveyor.write_journal('mark stale', delivery, reason, conveyor.lease_holder(delivery));
    PERFORM conveyor.open_recheck(delivery, coalesce(reason, 'no reason given'));
END
$$;
COMMENT ON FUNCTION conveyor.mark_stale(text, bigint, text) IS
    'agent: the log says that changes are not all there; a re-check goes both ways';

-- The request has done all it can: its end, and the end of the doubt if it was the re-check that cures it.
CREATE FUNCTION conveyor.finish_request(request bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    finished conveyor.request;
BEGIN
    UPDATE conveyor.request r SET state = 'finished', finished_at = clock_timestamp()
     WHERE r.id = finish_request.request AND r.state IN ('open', 'paused')
    RETURNING r.* INTO finished;
    IF finished.kind = 'recheck' THEN
        UPDATE conveyor.delivery_state s SET stale_at = NULL, stale_reason = NULL, updated_at = clock_timestamp()
         WHERE s.delivery = finished.delivery;
    END IF;
END
$$;

-- resync: sends the documents with these ids again (or removes them, where the view has them no longer).
-- Returns the request's id. Tables touched: request, request_page, journal_entry.
CREATE FUNCTION conveyor.resync(delivery text, keys text[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    request    bigint;
BEGIN
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    IF keys IS NULL OR array_position(keys, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'keys must not be null'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = format('Run SELECT conveyor.resync_all(%L) to send everything again.', delivery);
    END IF;
    request := conveyor.open_keys(delivery, keys, 'resync');
    PERFORM conveyor.write_journal('resync', delivery, format('request %s: %s keys', request, cardinality(keys)));
    RETURN request;
END
$$;
COMMENT ON FUNCTION conveyor.resync(text, text[]) IS 'send these documents again; returns the request''s id';

CREATE FUNCTION conveyor.open_keys(delivery text, keys text[], reason text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    request bigint := conveyor.open_request(delivery, 'keys', conveyor.latest_snapshot(), reason);
    total   bigint;
BEGIN
    -- A page has 1000 keys at most, and ends where 256 kB are full.
    WITH page AS (
        INSERT INTO conveyor.request_page (request, number, keys)
        SELECT request, min(n), array_agg(key ORDER BY n)
          FROM (SELECT key, row_number() OVER place AS n, sum(octet_length(key)) OVER place AS bytes
                  FROM (SELECT key, min(n) AS first FROM unnest(keys) WITH ORDINALITY AS k(key, n) GROUP BY key) AS distinct_key
                WINDOW place AS (ORDER BY first)) AS numbered
         GROUP BY (n - 1) / 1000, bytes / 262144
        RETURNING request_page.keys
    )
    SELECT coalesce(sum(cardinality(page.keys)), 0) INTO total FROM page;
    UPDATE conveyor.request r SET keys_total = total, exhausted = true WHERE r.id = request;
    IF total = 0 THEN
        PERFORM conveyor.finish_request(request);
    END IF;
    RETURN request;
END
$$;

CREATE FUNCTION conveyor.resync_all(delivery text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    request    bigint;
BEGIN
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    request := conveyor.open_request(delivery, 'resync_all', conveyor.latest_snapshot(), 'resync_all');
    PERFORM conveyor.write_journal('resync all', delivery, format('request %s', request));
    RETURN request;
END
$$;
COMMENT ON FUNCTION conveyor.resync_all(text) IS
    'send every document again and remove what the view has no longer; returns the request''s id';

-- The request, locked, if the caller may operate its delivery.
CREATE FUNCTION conveyor.operated_request(request bigint) RETURNS conveyor.request
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.request;
BEGIN
    SELECT r.* INTO present FROM conveyor.request r WHERE r.id = operated_request.request FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'request % does not exist', coalesce(request::text, 'null')
            USING ERRCODE = 'undefined_object', HINT = 'SELECT * FROM conveyor.resync_status lists the requests.';
    END IF;
    PERFORM conveyor.check_operator((conveyor.find_delivery(present.delivery)).owner, 'delivery', present.delivery);
    RETURN present;
END
$$;

-- pause, resume and cancel differ in the states they lead from and to.
CREATE FUNCTION conveyor.change_request(id bigint, action text, origin text[], destination text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present    conveyor.request := conveyor.operated_request(id);
    definition conveyor.delivery_definition := conveyor.find_delivery(present.delivery);
BEGIN
    IF present.state = destination THEN
        RETURN;
    ELSIF NOT present.state = ANY (origin) THEN
        RAISE EXCEPTION 'cannot % request %: it is %', action, id, present.state
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = CASE present.state WHEN 'loading' THEN format('Wait until its keys are there, or run SELECT conveyor.cancel_resync(%s).', id)
                              ELSE format('Run SELECT conveyor.resync_all(%L) or conveyor.resync(%L, keys) for a new one.', present.delivery, present.delivery) END;
    ELSIF destination = 'cancelled' AND present.kind IN ('backfill', 'recheck', 'compare') THEN
        RAISE EXCEPTION 'cannot cancel request %: a % must be finished', id, present.kind
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Without it nobody could say whether the target has every document.',
                  HINT = format('Run SELECT conveyor.pause_resync(%s) to stop it for now, or SELECT conveyor.%s(%L).', id,
                                CASE WHEN definition.rebuild_of IS NULL THEN 'drop_delivery' ELSE 'rollback_rebuild' END, coalesce(definition.rebuild_of, present.delivery));
    END IF;
    UPDATE conveyor.request r
       SET state = destination, finished_at = CASE WHEN destination = 'cancelled' THEN clock_timestamp() END, loader = NULL, loader_since = NULL
     WHERE r.id = change_request.id;
    IF destination = 'cancelled' THEN
        DELETE FROM conveyor.request_range g WHERE g.request = change_request.id;
        DELETE FROM conveyor.request_page p WHERE p.request = change_request.id;
    END IF;
    PERFORM conveyor.write_journal(action || ' resync', present.delivery, format('request %s', id));
END
$$;

CREATE FUNCTION conveyor.pause_resync(id bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$ BEGIN PERFORM conveyor.change_request(id, 'pause', ARRAY['open'], 'paused'); END $$;
COMMENT ON FUNCTION conveyor.pause_resync(bigint) IS 'stop a backfill, re-check or resync for now; live changes go on';

CREATE FUNCTION conveyor.resume_resync(id bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$ BEGIN PERFORM conveyor.change_request(id, 'resume', ARRAY['paused'], 'open'); END $$;
COMMENT ON FUNCTION conveyor.resume_resync(bigint) IS 'go on with a paused backfill, re-check or resync';

CREATE FUNCTION conveyor.cancel_resync(id bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$ BEGIN PERFORM conveyor.change_request(id, 'cancel', ARRAY['loading', 'open', 'paused'], 'cancelled'); END $$;
COMMENT ON FUNCTION conveyor.cancel_resync(bigint) IS 'give a resync up; what it sent stays sent';
