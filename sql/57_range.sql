-- 57: ranges and pages of a request, handed out and checkpointed.

CREATE FUNCTION conveyor.check_lease(delivery text, lease bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM conveyor.delivery_state s WHERE s.delivery = check_lease.delivery AND s.lease = check_lease.lease AND s.agent IS NOT NULL) THEN
        PERFORM conveyor.lock_lease(delivery, lease);     -- which says why
    END IF;
END
$$;

-- range_claim: the next range, or NULL when all are handed out; ranges that an older lease left behind come first.
-- It locks the request, not the delivery: finding a range's end walks an index, and windows must not wait for that. A lease
-- that is lost meanwhile leaves the range to its successor.
-- Tables touched: request, request_range.
CREATE FUNCTION conveyor.range_claim(delivery text, lease bigint, request bigint) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked  conveyor.request;
    claim  conveyor.request_range;
    size   int;
BEGIN
    PERFORM conveyor.check_lease(delivery, lease);
    SELECT r.* INTO asked FROM conveyor.request r WHERE r.id = range_claim.request AND r.delivery = range_claim.delivery FOR UPDATE;
    IF asked.state IS DISTINCT FROM 'open' OR asked.phase <> 'fill' OR asked.kind = 'keys' THEN
        RETURN NULL;
    END IF;

    UPDATE conveyor.request_range g SET lease = range_claim.lease
     WHERE g.request = asked.id
       AND g.range = (SELECT min(o.range) FROM conveyor.request_range o WHERE o.request = asked.id AND o.lease < range_claim.lease)
    RETURNING g.* INTO claim;

    IF NOT FOUND THEN
        IF asked.exhausted THEN
            RETURN NULL;
        END IF;
        SELECT conveyor.delivery_option(d.options, 'range_size')::int INTO size
          FROM conveyor.delivery_definition d WHERE d.delivery = range_claim.delivery;
        INSERT INTO conveyor.request_range (request, range, first_key, last_key, lease)
        VALUES (asked.id, asked.ranges + 1, asked.position, conveyor.range_end(delivery, asked.position, size), lease)
        RETURNING * INTO claim;
        UPDATE conveyor.request r
           SET ranges = claim.range, position = claim.last_key, exhausted = claim.last_key IS NULL, started_at = coalesce(r.started_at, clock_timestamp())
         WHERE r.id = asked.id;
    END IF;
    RETURN jsonb_build_object('range', claim.range, 'first', claim.first_key, 'last', claim.last_key, 'at_least', asked.at_least::text);
END
$$;
COMMENT ON FUNCTION conveyor.range_claim(text, bigint, bigint) IS 'agent: the next range of a request to fill, or NULL';

-- range_finish: everything of the range is acknowledged. Returns the request's phase: fill, sweep or finished.
-- Tables touched: request_range, request, delivery_state, delete_ledger, dead_letter_store.
CREATE FUNCTION conveyor.range_finish(delivery text, lease bigint, request bigint, range int, keys bigint, settled_below bigint,
                                      counts jsonb, dead jsonb, revived text[]) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.delivery_state := conveyor.lock_lease(delivery, lease);
    asked conveyor.request;
BEGIN
    PERFORM conveyor.settle(state, NULL, settled_below, counts, dead, revived);
    SELECT r.* INTO asked FROM conveyor.request r WHERE r.id = range_finish.request AND r.delivery = range_finish.delivery FOR UPDATE;
    IF asked.id IS NULL OR asked.state NOT IN ('open', 'paused') THEN
        RETURN 'finished';                                -- cancelled meanwhile
    END IF;
    DELETE FROM conveyor.request_range g WHERE g.request = asked.id AND g.range = range_finish.range AND g.lease = range_finish.lease;
    IF NOT FOUND THEN
        PERFORM conveyor.lease_lost(delivery, lease, format('Range %s of request %s is not this lease''s to finish.', range, request));
    END IF;
    UPDATE conveyor.request r
       SET keys_done = r.keys_done + keys,
           phase = CASE WHEN r.exhausted AND r.kind <> 'backfill' AND NOT EXISTS (SELECT FROM conveyor.request_range g WHERE g.request = r.id)
                        THEN 'sweep' ELSE r.phase END
     WHERE r.id = asked.id
    RETURNING r.* INTO asked;
    IF asked.kind = 'backfill' AND asked.exhausted AND NOT EXISTS (SELECT FROM conveyor.request_range g WHERE g.request = asked.id) THEN
        PERFORM conveyor.finish_request(asked.id);
        RETURN 'finished';
    END IF;
    RETURN asked.phase;
END
$$;
COMMENT ON FUNCTION conveyor.range_finish(text, bigint, bigint, int, bigint, bigint, jsonb, jsonb, text[]) IS
    'agent: a range is acknowledged; returns the phase its request is in now';

CREATE FUNCTION conveyor.sweep_finish(delivery text, lease bigint, request bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.lock_lease(delivery, lease);
    PERFORM FROM conveyor.request r
      WHERE r.id = sweep_finish.request AND r.delivery = sweep_finish.delivery AND r.phase = 'sweep' AND r.state IN ('open', 'paused')
        FOR UPDATE;
    IF FOUND THEN
        PERFORM conveyor.finish_request(request);
    ELSIF NOT EXISTS (SELECT FROM conveyor.request r WHERE r.id = sweep_finish.request AND r.delivery = sweep_finish.delivery AND r.state NOT IN ('open', 'paused')) THEN
        RAISE EXCEPTION 'request % is not being swept', request
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Finish all of its ranges first.';
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.sweep_finish(text, bigint, bigint) IS 'agent: what the target had and the view has not is gone';

-- request_keys: at most so many keys of the request, those behind `after`, with their numbers.
-- Tables touched: request.
CREATE FUNCTION conveyor.request_keys(delivery text, lease bigint, request bigint, after bigint, keys int) RETURNS TABLE (number bigint, key text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page conveyor.request_page;
    wanted int := keys;
BEGIN
    PERFORM conveyor.check_lease(delivery, lease);
    UPDATE conveyor.request r SET started_at = clock_timestamp()
     WHERE r.id = request_keys.request AND r.delivery = request_keys.delivery AND r.state = 'open' AND r.started_at IS NULL;
    -- Page by page, since how many there are in one is seen in it only.
    FOR page IN
        SELECT p.* FROM conveyor.request_page p JOIN conveyor.request r ON r.id = p.request
         WHERE p.request = request_keys.request AND r.delivery = request_keys.delivery AND r.state = 'open'
         ORDER BY p.number
    LOOP
        CONTINUE WHEN page.number + cardinality(page.keys) <= after + 1;
        RETURN QUERY
        SELECT page.number + k.n - 1, k.key FROM unnest(page.keys) WITH ORDINALITY AS k(key, n)
         WHERE page.number + k.n - 1 > after ORDER BY k.n LIMIT wanted;
        wanted := wanted - (page.number + cardinality(page.keys) - 1 - greatest(after, page.number - 1));
        EXIT WHEN wanted <= 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION conveyor.request_keys(text, bigint, bigint, bigint, int) IS 'agent: the next keys to send again';

-- request_keys_done: what is acknowledged goes; of a page that is only begun, its beginning.
-- Tables touched: request_page, request, delivery_state, delete_ledger, dead_letter_store.
CREATE FUNCTION conveyor.request_keys_done(delivery text, lease bigint, request bigint, upto bigint, settled_below bigint,
                                           counts jsonb, dead jsonb, revived text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.delivery_state := conveyor.lock_lease(delivery, lease);
    asked conveyor.request;
    begun conveyor.request_page;
    sent  bigint;
BEGIN
    PERFORM conveyor.settle(state, NULL, settled_below, counts, dead, revived);
    SELECT r.* INTO asked FROM conveyor.request r
     WHERE r.id = request_keys_done.request AND r.delivery = request_keys_done.delivery AND r.kind = 'keys' AND r.state IN ('open', 'paused') FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH done AS (
        DELETE FROM conveyor.request_page p WHERE p.request = asked.id AND p.number <= upto AND p.number + cardinality(p.keys) - 1 <= upto
        RETURNING cardinality(p.keys) AS keys
    )
    SELECT coalesce(sum(done.keys), 0) INTO sent FROM done;
    SELECT p.* INTO begun FROM conveyor.request_page p WHERE p.request = asked.id AND p.number <= upto;
    IF FOUND THEN
        UPDATE conveyor.request_page p SET number = upto + 1, keys = begun.keys[upto - begun.number + 2 : ]
         WHERE p.request = asked.id AND p.number = begun.number;
        sent := sent + upto - begun.number + 1;
    END IF;
    UPDATE conveyor.request r SET keys_done = r.keys_done + sent WHERE r.id = asked.id;
    IF NOT EXISTS (SELECT FROM conveyor.request_page p WHERE p.request = asked.id) THEN
        PERFORM conveyor.finish_request(asked.id);
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.request_keys_done(text, bigint, bigint, bigint, bigint, jsonb, jsonb, text[]) IS
    'agent: the keys up to this number are acknowledged';
