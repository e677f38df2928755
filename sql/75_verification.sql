-- 75: verifications: whether a target has what the view has, document by document (`conveyor verify`).
--
-- Both sides are compared range by range of the key. A key whose document seems to differ is only noted: a writer may have
-- changed it, and its delivery may be on its way. It is looked at again when the delivery has acknowledged what was committed
-- before the second look; what differs then, and differs in the same way, has a kind. All of it stands in tables, so that
-- a run that is killed is taken up by the next.

CREATE TABLE conveyor.verification (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery         text NOT NULL REFERENCES conveyor.delivery_definition ON DELETE CASCADE ON UPDATE CASCADE,
    phase            text NOT NULL DEFAULT 'compare' CHECK (phase IN ('compare', 'sweep', 'settle', 'repair')),
    state            text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'finished', 'cancelled')),
    repair           boolean NOT NULL DEFAULT false,
    runner           bigint NOT NULL DEFAULT 1,         -- of the run that works on it; an older one is refused
    at_least         pg_snapshot NOT NULL,
    position         text[],                            -- end of the last range handed out
    exhausted        boolean NOT NULL DEFAULT false,
    ranges           int NOT NULL DEFAULT 0,
    documents        bigint NOT NULL DEFAULT 0,         -- compared so far
    documents_total  bigint,                            -- an estimate; NULL: unknown
    seconds          float8 NOT NULL DEFAULT 0,         -- that were worked, over all runs
    requested_by     text NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz,
    CHECK ((finished_at IS NULL) = (state = 'open')),
    CHECK (phase = 'compare' OR exhausted)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX verification_open ON conveyor.verification (delivery) WHERE state = 'open';
CREATE INDEX verification_delivery ON conveyor.verification (delivery, id);
COMMENT ON TABLE conveyor.verification IS 'comparisons of deliveries with their targets; read them as the view verification_status';

-- Ranges that a run works on; a finished one is deleted.
CREATE TABLE conveyor.verification_range (
    verification  bigint NOT NULL REFERENCES conveyor.verification ON DELETE CASCADE,
    range         int NOT NULL,
    first_key     text[],                               -- exclusive; NULL: from the beginning
    last_key      text[],                               -- inclusive; NULL: to the end
    runner        bigint NOT NULL,
    PRIMARY KEY (verification, range)
);

-- Keys whose documents seem to differ, and those that do.
CREATE TABLE conveyor.verification_key (
    verification  bigint NOT NULL REFERENCES conveyor.verification ON DELETE CASCADE,
    number        bigint GENERATED ALWAYS AS IDENTITY,
    key           text NOT NULL,
    kind          text CHECK (kind IN ('missing', 'extra', 'different')),   -- NULL: it is not known yet whether it differs
    version       bigint,                               -- of the target's copy
    detail        text,
    repaired_at   timestamptz,
    CHECK (kind IS NOT NULL OR (version IS NULL AND detail IS NULL AND repaired_at IS NULL))
);
CREATE UNIQUE INDEX verification_key_key ON conveyor.verification_key (verification, conveyor.key_digest(key));
CREATE UNIQUE INDEX verification_key_number ON conveyor.verification_key (verification, number);

-- The verification, locked, if `runner` is the one that works on it.
CREATE FUNCTION conveyor.lock_verification(verification bigint, runner bigint) RETURNS conveyor.verification
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.verification;
BEGIN
    SELECT v.* INTO present FROM conveyor.verification v WHERE v.id = lock_verification.verification FOR UPDATE;
    IF present.state IS DISTINCT FROM 'open' OR present.runner <> lock_verification.runner THEN
        RAISE EXCEPTION 'this run of verification % is over', verification
            USING ERRCODE = 'CV001',
                  DETAIL = CASE WHEN present.id IS NULL THEN 'The delivery does not exist any more.'
                                WHEN present.state = 'open' THEN 'Another run has taken it up.'
                                ELSE format('It is %s.', present.state) END,
                  HINT = 'Only one run of a delivery''s verification works at a time, the latest.';
    END IF;
    RETURN present;
END
$$;

-- verification_begin: takes up the delivery's open verification, or begins one.
--   anew     give up an open one        repair   put back what differs
-- Returns what the run must know. Tables touched: verification, journal_entry.
CREATE FUNCTION conveyor.verification_begin(delivery text, anew boolean, repair boolean) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    target     conveyor.target_definition;
    feed       conveyor.feed_definition;
    state      conveyor.delivery_state;
    name       text;
    present    conveyor.verification;
    resumed    boolean := true;
BEGIN
    SELECT t.* INTO target FROM conveyor.target_definition t WHERE t.target = definition.target;
    SELECT f.* INTO feed FROM conveyor.feed_definition f WHERE f.feed = definition.feed;
    SELECT s.* INTO state FROM conveyor.delivery_state s WHERE s.delivery = verification_begin.delivery FOR UPDATE;
    name := conveyor.state_name(state);
    IF target.kind <> 'elasticsearch' THEN
        RAISE EXCEPTION 'cannot verify delivery "%": its target "%" is of kind %', delivery, target.target, target.kind
            USING ERRCODE = 'feature_not_supported', DETAIL = 'Only what an Elasticsearch or OpenSearch has can be read back.';
    ELSIF state.delivery IS NULL OR name IN ('waiting', 'stale', 'backfilling') THEN
        RAISE EXCEPTION 'cannot verify delivery "%": it is %', delivery, coalesce(name, 'without a state')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = CASE name WHEN 'waiting' THEN coalesce(state.held_reason, 'It waits for conveyor.confirm_epoch().')
                                     ELSE 'Not every document has been sent yet.' END,
                  HINT = format('SELECT state, percent, eta, throttle FROM conveyor.delivery_status WHERE delivery = %L tells how far it is.', delivery);
    END IF;

    IF anew THEN
        UPDATE conveyor.verification v SET state = 'cancelled', finished_at = clock_timestamp()
         WHERE v.delivery = verification_begin.delivery AND v.state = 'open';
    END IF;
    UPDATE conveyor.verification v
       SET runner = v.runner + 1, repair = v.repair OR verification_begin.repair, updated_at = clock_timestamp()
     WHERE v.delivery = verification_begin.delivery AND v.state = 'open'
    RETURNING v.* INTO present;
    IF NOT FOUND THEN
        resumed := false;
        -- What the latest one found is kept until the next begins.
        DELETE FROM conveyor.verification_key k
         USING conveyor.verification v
         WHERE v.delivery = verification_begin.delivery AND k.verification = v.id;
        DELETE FROM conveyor.verification_range g
         USING conveyor.verification v
         WHERE v.delivery = verification_begin.delivery AND g.verification = v.id;
        INSERT INTO conveyor.verification (delivery, repair, at_least, documents_total, requested_by)
        VALUES (delivery, repair, conveyor.latest_snapshot(), conveyor.documents_estimate(delivery), conveyor.caller())
        RETURNING * INTO present;
        PERFORM conveyor.write_journal('verify', delivery, format('verification %s%s', present.id, CASE WHEN repair THEN ', with repair' ELSE '' END));
    END IF;
    RETURN jsonb_build_object(
        'verification', present.id, 'runner', present.runner, 'resumed', resumed, 'phase', present.phase, 'repair', present.repair,
        'at_least', present.at_least::text, 'documents', present.documents, 'documents_total', present.documents_total,
        'delivery', delivery, 'kind', target.kind, 'target', target.target, 'destination', definition.destination, 'index', state.index,
        'target_options', conveyor.option_defaults('target', target.kind) || conveyor.given_options('target', target.kind, target.options),
        'secret', coalesce(target.options ->> 'secret', target.target),
        'key', feed.key, 'key_types', (SELECT jsonb_agg(t.typname ORDER BY k.n)
                                         FROM unnest(feed.key_types) WITH ORDINALITY AS k(type, n) JOIN pg_type t ON t.oid = k.type));
END
$$;
COMMENT ON FUNCTION conveyor.verification_begin(text, boolean, boolean) IS 'conveyor verify: takes up the open verification of a delivery, or begins one';

-- verification_claim: the next range, of about so many documents, or NULL when all are handed out; what another run left comes first.
-- Tables touched: verification, verification_range.
CREATE FUNCTION conveyor.verification_claim(verification bigint, runner bigint, documents int) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.verification := conveyor.lock_verification(verification, runner);
    claim   conveyor.verification_range;
BEGIN
    UPDATE conveyor.verification_range g SET runner = verification_claim.runner
     WHERE g.verification = present.id
       AND g.range = (SELECT min(o.range) FROM conveyor.verification_range o WHERE o.verification = present.id AND o.runner < verification_claim.runner)
    RETURNING g.* INTO claim;
    IF NOT FOUND THEN
        IF present.exhausted THEN
            RETURN NULL;
        END IF;
        INSERT INTO conveyor.verification_range (verification, range, first_key, last_key, runner)
        VALUES (present.id, present.ranges + 1, present.position, conveyor.range_end(present.delivery, present.position, documents), runner)
        RETURNING * INTO claim;
        UPDATE conveyor.verification v
           SET ranges = claim.range, position = claim.last_key, exhausted = claim.last_key IS NULL
         WHERE v.id = present.id;
    END IF;
    RETURN jsonb_build_object('range', claim.range, 'first', claim.first_key, 'last', claim.last_key);
END
$$;
COMMENT ON FUNCTION conveyor.verification_claim(bigint, bigint, int) IS 'conveyor verify: the next range to compare, or NULL';

-- verification_note: keys whose documents seem to differ; with a range, this range has been compared.
-- Tables touched: verification, verification_range, verification_key.
CREATE FUNCTION conveyor.verification_note(verification bigint, runner bigint, range int, documents bigint, keys text[], seconds float8) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.verification := conveyor.lock_verification(verification, runner);
BEGIN
    INSERT INTO conveyor.verification_key (verification, key)
    SELECT present.id, k.key FROM unnest(keys) WITH ORDINALITY AS k(key, n) ORDER BY k.n
    ON CONFLICT DO NOTHING;
    IF range IS NOT NULL THEN
        DELETE FROM conveyor.verification_range g
         WHERE g.verification = present.id AND g.range = verification_note.range AND g.runner = verification_note.runner;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'range % of verification % is not this run''s to finish', range, verification USING ERRCODE = 'CV001';
        END IF;
    END IF;
    UPDATE conveyor.verification v
       SET documents = v.documents + verification_note.documents, seconds = v.seconds + verification_note.seconds, updated_at = clock_timestamp()
     WHERE v.id = present.id;
END
$$;
COMMENT ON FUNCTION conveyor.verification_note(bigint, bigint, int, bigint, text[], float8) IS
    'conveyor verify: keys whose documents seem to differ, and a range that has been compared';

-- verification_enter: the phase before is done. Tables touched: verification.
CREATE FUNCTION conveyor.verification_enter(verification bigint, runner bigint, phase text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.verification := conveyor.lock_verification(verification, runner);
BEGIN
    IF EXISTS (SELECT FROM conveyor.verification_range g WHERE g.verification = present.id) THEN
        RAISE EXCEPTION 'verification % has ranges that are not compared yet', verification
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE conveyor.verification v SET phase = verification_enter.phase, updated_at = clock_timestamp() WHERE v.id = present.id;
END
$$;
COMMENT ON FUNCTION conveyor.verification_enter(bigint, bigint, text) IS 'conveyor verify: goes on with the next phase';

-- verification_keys: a page of keys: those that only seem to differ, or (`settled`) those that do, repaired or not.
CREATE FUNCTION conveyor.verification_keys(verification bigint, runner bigint, settled boolean, after bigint, keys int)
    RETURNS TABLE (number bigint, key text, kind text, version bigint, detail text, repaired boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM conveyor.lock_verification(verification, runner);
    RETURN QUERY
    SELECT k.number, k.key, k.kind, k.version, k.detail, k.repaired_at IS NOT NULL
      FROM conveyor.verification_key k
     WHERE k.verification = verification_keys.verification AND k.number > after AND (k.kind IS NOT NULL) = settled
     ORDER BY k.number
     LIMIT keys;
END
$$;
COMMENT ON FUNCTION conveyor.verification_keys(bigint, bigint, boolean, bigint, int) IS 'conveyor verify: a page of keys to look at again, to repair or to show';

-- verification_settle: what became of keys that were looked at again: [{key, kind, version, detail}], kind NULL: equal.
-- A difference that was known before and is none any more has been repaired.
-- Tables touched: verification_key.
CREATE FUNCTION conveyor.verification_settle(verification bigint, runner bigint, outcomes jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.verification := conveyor.lock_verification(verification, runner);
BEGIN
    DELETE FROM conveyor.verification_key k
     USING jsonb_to_recordset(outcomes) AS o(key text, kind text)
     WHERE k.verification = present.id AND conveyor.key_digest(k.key) = conveyor.key_digest(o.key) AND k.kind IS NULL AND o.kind IS NULL;
    UPDATE conveyor.verification_key k
       SET kind = coalesce(o.kind, k.kind), version = o.version,
           detail = CASE WHEN o.kind IS NOT NULL THEN coalesce(o.detail, 'dead letter: ' || d.type) END,
           repaired_at = CASE WHEN o.kind IS NULL THEN clock_timestamp() END
      FROM jsonb_to_recordset(outcomes) AS o(key text, kind text, version bigint, detail text)
      LEFT JOIN conveyor.dead_letter_store d ON d.delivery = present.delivery AND conveyor.key_digest(d.key) = conveyor.key_digest(o.key)
     WHERE k.verification = present.id AND conveyor.key_digest(k.key) = conveyor.key_digest(o.key);
END
$$;
COMMENT ON FUNCTION conveyor.verification_settle(bigint, bigint, jsonb) IS 'conveyor verify: what the second look at some keys has shown';

-- verification_resync: sends these documents again, or removes them, as resync() does. Their versions must be above those that
-- the target has, or it takes them for superseded: where a version there is ahead by less than 100,000, which is what an update
-- in place makes of it, so many transaction ids are used up first. Returns the request.
-- Tables touched: request, request_page, journal_entry.
CREATE FUNCTION conveyor.verification_resync(verification bigint, runner bigint, keys text[], above bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.verification := conveyor.lock_verification(verification, runner);
    request bigint;
BEGIN
    PERFORM conveyor.raise_version(above);
    request := conveyor.open_keys(present.delivery, keys, format('verification %s', verification));
    PERFORM conveyor.write_journal('resync', present.delivery, format('request %s: %s keys that verification %s found different', request, cardinality(keys), verification));
    RETURN request;
END
$$;
COMMENT ON FUNCTION conveyor.verification_resync(bigint, bigint, text[], bigint) IS 'conveyor verify --repair: sends documents again, with versions above those of the target';

-- verification_request: the state of a request that verification_resync() has opened.
CREATE FUNCTION conveyor.verification_request(verification bigint, runner bigint, request bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.verification := conveyor.lock_verification(verification, runner);
BEGIN
    RETURN (SELECT r.state FROM conveyor.request r WHERE r.id = verification_request.request AND r.delivery = present.delivery);
END
$$;
COMMENT ON FUNCTION conveyor.verification_request(bigint, bigint, bigint) IS 'conveyor verify --repair: the state of a request';

-- How far above the present version one may be and still be passed.
CREATE FUNCTION conveyor.version_reach() RETURNS bigint
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN 100000;

-- The version that a document read now would get.
CREATE FUNCTION conveyor.present_version() RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN conveyor.version_of(conveyor.latest_snapshot(), (SELECT i.epoch FROM conveyor.identity i));
COMMENT ON FUNCTION conveyor.present_version() IS 'conveyor verify: the version that a document read now would get';

-- Versions are counts of ended transactions: ended subtransactions count, and are cheap.
CREATE FUNCTION conveyor.raise_version(above bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    short bigint := above - conveyor.present_version() + 1;
BEGIN
    IF short > conveyor.version_reach() THEN
        RAISE EXCEPTION 'version % is out of reach', above USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    FOR n IN 1 .. short LOOP
        BEGIN
            PERFORM FROM conveyor.identity FOR KEY SHARE;      -- a lock on a row takes a transaction id
            RAISE EXCEPTION USING ERRCODE = 'CV000';
        EXCEPTION WHEN SQLSTATE 'CV000' THEN
            NULL;
        END;
    END LOOP;
END
$$;

CREATE FUNCTION conveyor.verification_finish(verification bigint, runner bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present conveyor.verification := conveyor.lock_verification(verification, runner);
    found   text;
BEGIN
    UPDATE conveyor.verification v SET state = 'finished', finished_at = clock_timestamp(), updated_at = clock_timestamp() WHERE v.id = present.id;
    SELECT format('verification %s: %s documents, %s missing, %s extra, %s different', present.id, present.documents,
                  count(*) FILTER (WHERE k.kind = 'missing'), count(*) FILTER (WHERE k.kind = 'extra'), count(*) FILTER (WHERE k.kind = 'different'))
      INTO found
      FROM conveyor.verification_key k WHERE k.verification = present.id;
    PERFORM conveyor.write_journal('verified', present.delivery, found);
END
$$;
COMMENT ON FUNCTION conveyor.verification_finish(bigint, bigint) IS 'conveyor verify: the verification is over';

-- verification_delivered: has the target acknowledged everything that is visible in `upto`? Asked for the delivery of the index that
-- this verification reads: a rebuild exchanges the names of two. Tables touched: none.
CREATE FUNCTION conveyor.verification_delivered(verification bigint, upto pg_snapshot) RETURNS boolean
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT conveyor.is_delivered(v.delivery, upto) FROM conveyor.verification v WHERE v.id = verification_delivered.verification);
COMMENT ON FUNCTION conveyor.verification_delivered(bigint, pg_snapshot) IS 'conveyor verify: is everything that this snapshot sees acknowledged?';

-- verification_condition: what a delivery that does not come on waits for, for people.
CREATE FUNCTION conveyor.verification_condition(verification bigint) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(s.throttle, s.last_error, 'it is ' || s.state)
          FROM conveyor.verification v JOIN conveyor.delivery_status s USING (delivery) WHERE v.id = verification_condition.verification);
COMMENT ON FUNCTION conveyor.verification_condition(bigint) IS 'conveyor verify: why a delivery does not come on';

CREATE VIEW conveyor.verification_status AS
SELECT v.id,
       v.delivery,
       CASE WHEN v.state <> 'open' THEN v.state
            WHEN v.updated_at < clock_timestamp() - interval '1 minute' THEN 'interrupted'
            ELSE CASE v.phase WHEN 'compare' THEN 'comparing' WHEN 'sweep' THEN 'sweeping' WHEN 'settle' THEN 'settling' ELSE 'repairing' END
       END AS state,
       v.documents,
       v.documents_total,
       conveyor.percent(v.documents, v.documents_total, v.state = 'finished') AS percent,
       conveyor.shown((v.documents / nullif(v.seconds, 0))::real) AS documents_per_second,
       CASE WHEN v.state = 'open' AND v.phase = 'compare' AND v.updated_at >= clock_timestamp() - interval '1 minute'
            THEN conveyor.time_left(v.documents, v.documents_total, (v.documents / nullif(v.seconds, 0))::real) END AS eta,
       found.suspected,
       found.missing,
       found.extra,
       found.different,
       found.repaired,
       v.requested_by,
       v.started_at,
       v.updated_at,
       v.finished_at
  FROM conveyor.verification v
 CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE k.kind IS NULL) AS suspected,
                            count(*) FILTER (WHERE k.kind = 'missing') AS missing,
                            count(*) FILTER (WHERE k.kind = 'extra') AS extra,
                            count(*) FILTER (WHERE k.kind = 'different') AS different,
                            count(k.repaired_at) AS repaired
                       FROM conveyor.verification_key k WHERE k.verification = v.id) AS found
 ORDER BY v.id;
COMMENT ON VIEW conveyor.verification_status IS
    'comparisons of deliveries with their targets (conveyor verify): how far they are, and what they found; the view difference lists it';

CREATE VIEW conveyor.difference AS
SELECT v.delivery, k.key, k.kind, k.version, k.detail, k.repaired_at, v.id AS verification
  FROM conveyor.verification_key k
  JOIN conveyor.verification v ON v.id = k.verification
 WHERE k.kind IS NOT NULL
 ORDER BY v.delivery, k.number;
COMMENT ON VIEW conveyor.difference IS 'documents that the latest verification of each delivery found missing in the target, extra there, or different';
