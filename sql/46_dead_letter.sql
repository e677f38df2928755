-- 46: dead letters: documents that a target refused, kept with the reason until someone settles them.

CREATE TABLE conveyor.dead_letter_store (
    delivery  text NOT NULL REFERENCES conveyor.delivery_definition ON DELETE CASCADE ON UPDATE CASCADE,
    key       text NOT NULL,
    type      text NOT NULL,
    reason    text NOT NULL,
    attempts  int NOT NULL CHECK (attempts > 0),
    first_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX dead_letter_store_key ON conveyor.dead_letter_store (delivery, conveyor.key_digest(key));
COMMENT ON TABLE conveyor.dead_letter_store IS 'documents that a target refused; read them as the view dead_letter';

CREATE VIEW conveyor.dead_letter AS
SELECT delivery, key, type, reason, attempts, first_at, last_at
  FROM conveyor.dead_letter_store;
COMMENT ON VIEW conveyor.dead_letter IS 'documents that a target refused, each with the reason; retry_dead_letters() and discard_dead_letters() settle them';

-- What an agent reports: [{key, type, reason, attempts}]. Too many of them hold the delivery.
CREATE FUNCTION conveyor.put_dead_letters(delivery text, dead jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ceiling bigint;
    number  bigint;
BEGIN
    INSERT INTO conveyor.dead_letter_store AS d (delivery, key, type, reason, attempts)
    SELECT DISTINCT ON (letter.key) put_dead_letters.delivery, letter.key, coalesce(letter.type, ''), coalesce(letter.reason, ''), greatest(letter.attempts, 1)
      FROM jsonb_to_recordset(dead) AS letter(key text, type text, reason text, attempts int)
     ORDER BY letter.key, letter.attempts DESC NULLS LAST
    ON CONFLICT (delivery, conveyor.key_digest(key)) DO UPDATE
       SET type = excluded.type, reason = excluded.reason, attempts = d.attempts + excluded.attempts, last_at = clock_timestamp();

    SELECT conveyor.delivery_option(d.options, 'dead_letter_limit')::bigint INTO ceiling
      FROM conveyor.delivery_definition d WHERE d.delivery = put_dead_letters.delivery;
    -- Counts no further than it must.
    SELECT count(*) INTO number
      FROM (SELECT FROM conveyor.dead_letter_store d WHERE d.delivery = put_dead_letters.delivery LIMIT ceiling + 1) AS counted;
    IF number > ceiling THEN
        UPDATE conveyor.delivery_state s
           SET held_at = clock_timestamp(), updated_at = clock_timestamp(),
               held_reason = format('more than %s dead letters (dead_letter_limit): so many at once mean a broken mapping rather than broken documents; '
                                    'see conveyor.dead_letter, then run SELECT conveyor.resume_delivery(%L)', ceiling, s.delivery)
         WHERE s.delivery = put_dead_letters.delivery AND s.held_at IS NULL;
        IF FOUND THEN
            PERFORM conveyor.write_journal('hold delivery', delivery, format('more than %s dead letters', ceiling), conveyor.lease_holder(delivery));
        END IF;
    END IF;
END
$$;

CREATE FUNCTION conveyor.drop_dead_letters(delivery text, keys text[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    DELETE FROM conveyor.dead_letter_store d
     USING unnest(keys) AS k(key)
     WHERE d.delivery = drop_dead_letters.delivery AND conveyor.key_digest(d.key) = conveyor.key_digest(k.key);
    GET DIAGNOSTICS number = ROW_COUNT;
    RETURN number;
END
$$;

-- retry_dead_letters: sends dead letters again.
--   keys     which; NULL: all of them
-- Returns how many. They leave the table when they have been delivered, and stay with one attempt more when they have not.
-- Tables touched: request, request_page, journal_entry.
CREATE FUNCTION conveyor.retry_dead_letters(delivery text, keys text[] DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    chosen     text[];
BEGIN
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    chosen := ARRAY(SELECT d.key FROM conveyor.dead_letter_store d
                     WHERE d.delivery = retry_dead_letters.delivery AND (keys IS NULL OR d.key = ANY (keys))
                     ORDER BY d.first_at, d.key);
    IF cardinality(chosen) > 0 THEN
        PERFORM conveyor.open_keys(delivery, chosen, 'retry_dead_letters');
        PERFORM conveyor.write_journal('retry dead letters', delivery, format('%s keys', cardinality(chosen)));
    END IF;
    RETURN cardinality(chosen);
END
$$;
COMMENT ON FUNCTION conveyor.retry_dead_letters(text, text[]) IS 'send dead letters again (all, or these keys); returns how many';

CREATE FUNCTION conveyor.discard_dead_letters(delivery text, keys text[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.delivery_definition := conveyor.find_delivery(delivery);
    number     bigint;
BEGIN
    PERFORM conveyor.check_operator(definition.owner, 'delivery', delivery);
    number := conveyor.drop_dead_letters(delivery, keys);
    IF number > 0 THEN
        PERFORM conveyor.write_journal('discard dead letters', delivery, format('%s: %s', number, left(array_to_string(keys, ', '), 1000)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION conveyor.discard_dead_letters(text, text[]) IS 'forget dead letters: these documents stay undelivered; returns how many';
