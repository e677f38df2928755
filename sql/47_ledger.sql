-- 47: leases, the requests that may still be under way, and the ledger of deletes.
--
-- A target forgets a delete after a while. A request that was sent earlier and lands later still would then bring the
-- document back. So every delete stays in the ledger until no request with an older version can be under way:
--   * the present lease says which versions are settled (`settled_below`);
--   * a lease that ended left `oldest_version`: requests of this version and above may still land, for orphan_time;
--   * after that its deletes are orphans: their keys are read and sent once more, then both go.

-- Leases that have sent anything; the present one has ended_at NULL, and its bound stands in delivery_state.oldest_version.
CREATE TABLE conveyor.sender (
    delivery        text NOT NULL REFERENCES conveyor.delivery_definition ON DELETE CASCADE ON UPDATE CASCADE,
    lease           bigint NOT NULL,
    agent           text NOT NULL,
    oldest_version  bigint,                              -- set when the lease ends
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at        timestamptz,
    PRIMARY KEY (delivery, lease),
    CHECK ((ended_at IS NULL) = (oldest_version IS NULL))
);
COMMENT ON TABLE conveyor.sender IS 'leases whose requests may still be under way';

CREATE TABLE conveyor.delete_ledger (
    delivery    text NOT NULL REFERENCES conveyor.delivery_definition ON DELETE CASCADE ON UPDATE CASCADE,
    key         text NOT NULL,
    version     bigint NOT NULL,
    entered_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX delete_ledger_key ON conveyor.delete_ledger (delivery, conveyor.key_digest(key));
CREATE INDEX delete_ledger_version ON conveyor.delete_ledger (delivery, version);
COMMENT ON TABLE conveyor.delete_ledger IS 'deletes that an older request which is still under way could undo';

-- What f(snapshot) is as a version of this epoch (docs/internals.md, snapshot_version()).
CREATE FUNCTION conveyor.version_of(snapshot pg_snapshot, epoch int) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN (epoch::bigint << 48) | (pg_snapshot_xmax(snapshot)::text::bigint - (SELECT count(DISTINCT xip) FROM pg_snapshot_xip(snapshot) AS xip));

CREATE FUNCTION conveyor.lease_lost(delivery text, lease bigint, detail text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'lease % of delivery "%" is lost', lease, delivery
        USING ERRCODE = 'CV001', DETAIL = detail,
              HINT = 'Drop the work in progress; conveyor.agent_sync() says which leases this agent holds.';
END
$$;

-- The delivery's state, locked: whoever moves anything starts here.
CREATE FUNCTION conveyor.lock_lease(delivery text, lease bigint) RETURNS conveyor.delivery_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.delivery_state;
BEGIN
    SELECT s.* INTO state FROM conveyor.delivery_state s WHERE s.delivery = lock_lease.delivery FOR UPDATE;
    IF state.lease IS DISTINCT FROM lock_lease.lease OR state.agent IS NULL THEN
        PERFORM conveyor.lease_lost(delivery, lease,
            CASE WHEN state.delivery IS NULL THEN 'The delivery does not exist any more.'
                 ELSE format('The present lease is %s, held by %s.', state.lease, coalesce(state.agent, 'nobody')) END);
    END IF;
    RETURN state;
END
$$;

CREATE FUNCTION conveyor.lease_holder(delivery text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT 'agent ' || s.agent FROM conveyor.delivery_state s WHERE s.delivery = lease_holder.delivery);

-- Ends the present lease and begins the next one; agent NULL: nobody holds it.
CREATE FUNCTION conveyor.new_lease(delivery text, agent text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.delivery_state;
BEGIN
    SELECT s.* INTO state FROM conveyor.delivery_state s WHERE s.delivery = new_lease.delivery FOR UPDATE;
    IF state.oldest_version IS NULL THEN
        -- It never sent anything.
        DELETE FROM conveyor.sender s WHERE s.delivery = new_lease.delivery AND s.ended_at IS NULL;
    ELSE
        UPDATE conveyor.sender s SET ended_at = clock_timestamp(), oldest_version = state.oldest_version
         WHERE s.delivery = new_lease.delivery AND s.ended_at IS NULL;
    END IF;
    UPDATE conveyor.delivery_state s
       SET lease = s.lease + 1, agent = new_lease.agent, oldest_version = NULL, documents_per_second = NULL, updated_at = clock_timestamp()
     WHERE s.delivery = new_lease.delivery;
    IF agent IS NOT NULL THEN
        INSERT INTO conveyor.sender (delivery, lease, agent) VALUES (delivery, state.lease + 1, agent);
    END IF;
    RETURN state.lease + 1;
END
$$;

-- renew_lease: the agent goes on under a new lease; what went before belongs to a sender that has ended, so that its
-- requests that never got an answer, and ranges whose claim never did, are somebody's again.
-- Returns the new lease. Tables touched: delivery_state, sender.
CREATE FUNCTION conveyor.renew_lease(delivery text, lease bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.delivery_state := conveyor.lock_lease(delivery, lease);
BEGIN
    RETURN conveyor.new_lease(delivery, state.agent);
END
$$;
COMMENT ON FUNCTION conveyor.renew_lease(text, bigint) IS 'agent: ends its lease of one delivery and begins the next; returns it';

-- fence: what was read in the snapshot of `version` is made durable before it is sent, and its deletes are entered.
--   The caller has read in an earlier transaction, so the xid that this one takes is younger than the snapshot.
-- Only a bound that must fall locks the delivery's row: fences of several connections do not wait for each other's flush.
-- One that commits after its lease was lost does no harm: what it enters is newer than the bound its sender left behind.
-- Tables touched: delete_ledger; delivery_state where the bound falls.
CREATE FUNCTION conveyor.fence(delivery text, lease bigint, version bigint, delete_keys text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    state conveyor.delivery_state;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    SELECT s.* INTO state FROM conveyor.delivery_state s WHERE s.delivery = fence.delivery;
    IF state.lease IS DISTINCT FROM fence.lease OR state.agent IS NULL OR state.oldest_version IS NULL OR state.oldest_version > version THEN
        PERFORM conveyor.lock_lease(delivery, lease);
        UPDATE conveyor.delivery_state s SET oldest_version = least(s.oldest_version, version) WHERE s.delivery = fence.delivery;
    END IF;
    IF NOT conveyor.identity_holds(version) THEN
        PERFORM conveyor.lease_lost(delivery, lease, 'The database''s identity has changed since the documents were read, or awaits confirmation.');
    END IF;
    IF cardinality(delete_keys) > 0 THEN
        INSERT INTO conveyor.delete_ledger AS l (delivery, key, version)
        SELECT DISTINCT fence.delivery, k.key, fence.version FROM unnest(delete_keys) AS k(key)
        ON CONFLICT (delivery, conveyor.key_digest(key)) DO UPDATE
           SET version = greatest(l.version, excluded.version), entered_at = excluded.entered_at;
    ELSE
        -- An xid alone does not make a commit flush: something must have been written.
        PERFORM pg_logical_emit_message(true, 'pg_conveyor', '');
    END IF;
END
$$;
COMMENT ON FUNCTION conveyor.fence(text, bigint, bigint, text[]) IS
    'agent: before anything that was read with this version is sent; commits synchronously';

-- Everything that the end of a piece of work has in common; `state` is locked.
--   settled_below  requests with smaller versions are all settled      until  new cursor, NULL: it stays
CREATE FUNCTION conveyor.settle(state conveyor.delivery_state, until pg_snapshot, settled_below bigint, counts jsonb, dead jsonb, revived text[])
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE conveyor.delivery_state s
       SET cursor = coalesce(until, s.cursor),
           advanced_at = CASE WHEN until IS NULL THEN s.advanced_at ELSE clock_timestamp() END,
           -- With nothing open settled_below is boundless; what will be read next is not older than the cursor, as a rule,
           -- and where it is (a range that began earlier), fence() lowers the bound.
           oldest_version = least(settled_below, greatest(s.oldest_version, conveyor.version_of(coalesce(until, s.cursor), i.epoch))),
           documents_sent = s.documents_sent + coalesce((counts ->> 'sent')::bigint, 0),
           documents_deleted = s.documents_deleted + coalesce((counts ->> 'deleted')::bigint, 0),
           superseded = s.superseded + coalesce((counts ->> 'superseded')::bigint, 0),
           retries = s.retries + coalesce((counts ->> 'retries')::bigint, 0),
           updated_at = clock_timestamp()
      FROM conveyor.identity i
     WHERE s.delivery = state.delivery;
    DELETE FROM conveyor.delete_ledger l
     WHERE l.delivery = state.delivery
       AND l.version < least(settled_below, (SELECT min(e.oldest_version) FROM conveyor.sender e WHERE e.delivery = state.delivery AND e.ended_at IS NOT NULL));
    IF cardinality(revived) > 0 THEN
        PERFORM conveyor.drop_dead_letters(state.delivery, revived);
    END IF;
    IF dead IS NOT NULL AND dead NOT IN ('[]', 'null') THEN
        PERFORM conveyor.put_dead_letters(state.delivery, dead);
    END IF;
END
$$;

-- advance: a window is acknowledged up to `until`; NULL: some of it is, the cursor stays.
-- Tables touched: delivery_state, delete_ledger, dead_letter_store.
CREATE FUNCTION conveyor.advance(delivery text, lease bigint, until pg_snapshot, settled_below bigint, counts jsonb, dead jsonb, revived text[])
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state conveyor.delivery_state := conveyor.lock_lease(delivery, lease);
BEGIN
    IF NOT conveyor.snapshot_contains(until, state.cursor) THEN
        RAISE EXCEPTION 'cursor of delivery "%" cannot go back', delivery
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('The cursor is %s, which %s does not contain.', state.cursor, until),
                  HINT = 'Drop the window and read it again.';
    END IF;
    -- A crash that takes this back takes back with it that the log was emptied after it: the window is read again. So the
    -- commit need not wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM conveyor.settle(state, until, settled_below, counts, dead, revived);
END
$$;
COMMENT ON FUNCTION conveyor.advance(text, bigint, pg_snapshot, bigint, jsonb, jsonb, text[]) IS
    'agent: a window is acknowledged; the cursor moves (NULL: it stays), never back, in the transaction that records dead letters';
