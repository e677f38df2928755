-- 72: wait_delivered: did everything arrive?

-- Has the target acknowledged everything that `upto` sees, or is it among the dead letters?
CREATE FUNCTION conveyor.is_delivered(delivery text, upto pg_snapshot) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_feed CONSTANT text := (conveyor.find_delivery(delivery)).feed;
    reached pg_snapshot[];
BEGIN
    -- One statement, one snapshot: the cursor together with whether it tells all.
    -- While the destination's name goes over to the other index, readers may see either: then both count.
    SELECT array_agg(s.cursor) INTO reached
      FROM conveyor.delivery_state s CROSS JOIN conveyor.identity i
     WHERE s.delivery = ANY (conveyor.readable(is_delivered.delivery))
       AND s.stale_at IS NULL AND NOT conveyor.index_filling(s.index) AND i.confirmed AND i.timeline = conveyor.timeline()
       AND NOT EXISTS (SELECT FROM conveyor.request r
                        WHERE r.delivery = s.delivery AND r.kind IN ('backfill', 'recheck') AND r.state IN ('open', 'paused'));
    RETURN coalesce(cardinality(reached), 0) = cardinality(conveyor.readable(delivery))
           AND NOT EXISTS (SELECT FROM unnest(reached) AS r(cursor) WHERE conveyor.log_has_pending(r.cursor, conveyor.feed_captures(of_feed), upto));
END
$$;

-- wait_delivered: true when every change that was committed before the call has been acknowledged by the target, or lies in
--   the dead letters; false when the time is over. Changes committed later do not matter, however many they are.
-- Tables touched: none.
CREATE FUNCTION conveyor.wait_delivered(delivery text, timeout interval DEFAULT '30 s') RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    upto     CONSTANT pg_snapshot := conveyor.latest_snapshot();
    deadline CONSTANT timestamptz := clock_timestamp() + timeout;
    pause    float8 := 0.002;      -- seconds; grows to 50 ms
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'wait_delivered() cannot run in a % transaction', upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'active_sql_transaction',
                  DETAIL = 'It would see the delivery as it was when the transaction began, for ever.',
                  HINT = 'Call it outside, or in a transaction that is READ COMMITTED.';
    ELSIF timeout IS NULL OR timeout < interval '0' THEN
        RAISE EXCEPTION 'timeout of wait_delivered() must not be %', coalesce('negative: ' || timeout, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give an interval such as ''30 s''.';
    END IF;
    LOOP
        IF conveyor.is_delivered(delivery, upto) THEN
            RETURN true;
        END IF;
        IF clock_timestamp() >= deadline THEN
            RETURN false;
        END IF;
        PERFORM pg_sleep(least(pause, greatest(extract(epoch FROM deadline - clock_timestamp())::float8, 0)));
        pause := least(pause * 1.5, 0.05);
    END LOOP;
END
$$;
COMMENT ON FUNCTION conveyor.wait_delivered(text, interval) IS
    'true when every change committed before the call is acknowledged by the target; false when the time is over';
