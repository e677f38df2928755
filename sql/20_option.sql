-- 20: options. One table says which there are; it validates what people give, completes what the agent gets, and is the
-- reference that docs/settings.md is made from.

CREATE TABLE conveyor.option_definition (
    object         text NOT NULL CHECK (object IN ('target', 'feed', 'delivery', 'migration', 'job')),
    kind           text,                -- kind of target; NULL: all
    name           text NOT NULL,
    type           text NOT NULL CHECK (type IN ('integer', 'real', 'boolean', 'text', 'interval', 'bytes', 'object', 'text_array', 'url', 'path')),
    default_value  jsonb,               -- NULL: none
    minimum        text,                -- in the type's own notation: '64kB', '1 s'
    maximum        text,
    required       boolean NOT NULL DEFAULT false,
    description    text NOT NULL,
    choices        text[],              -- the texts that there are; NULL: any
    UNIQUE (object, kind, name),
    CHECK (kind IS NULL OR object = 'target'),
    CHECK (choices IS NULL OR type = 'text'),
    CHECK (NOT (required AND default_value IS NOT NULL))
);
CREATE UNIQUE INDEX option_definition_common ON conveyor.option_definition (object, name) WHERE kind IS NULL;
COMMENT ON TABLE conveyor.option_definition IS 'the options of targets, feeds, deliveries, migrations and jobs: type, range, default, meaning';

-- The value as the agent reads it: intervals in milliseconds, sizes in bytes, all else as it was written.
CREATE FUNCTION conveyor.option_plain(type text, value jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE type
           WHEN 'interval' THEN to_jsonb(round(extract(epoch FROM (value #>> '{}')::interval) * 1000)::bigint)
           WHEN 'bytes' THEN to_jsonb(CASE jsonb_typeof(value) WHEN 'number' THEN (value #>> '{}')::bigint ELSE pg_size_bytes(value #>> '{}') END)
           WHEN 'url' THEN CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE jsonb_build_array(value) END
           ELSE value
       END;

-- NULL when `url` is one that the agent can use, else what is wrong with it.
CREATE FUNCTION conveyor.url_problem(url text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE
           WHEN url ~ '^([A-Za-z]+://)?[^/?#]*@' THEN 'it must not contain a user or a password'
           WHEN url !~* '^https?://' THEN 'it must begin with http:// or https://'
           WHEN url !~* '^https?://([a-z0-9._~%-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?(/[^\s?#]*)?$' THEN 'it must be scheme://host[:port][/path]'
           WHEN substring(url FROM '^[a-zA-Z]+://(?:[^/\[]*|\[[^\]]*\]):([0-9]+)')::int NOT BETWEEN 1 AND 65535 THEN 'its port must be between 1 and 65535'
       END;

CREATE FUNCTION conveyor.check_option(definition conveyor.option_definition, value jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    json_type text := jsonb_typeof(value);
    plain     text := value #>> '{}';
    expected  text;
    problem   text;
    url       text;
BEGIN
    expected := CASE definition.type
        WHEN 'integer' THEN 'a whole number'
        WHEN 'real' THEN 'a number'
        WHEN 'boolean' THEN 'true or false'
        WHEN 'text' THEN coalesce(array_to_string(definition.choices, ' or '), 'a text')
        WHEN 'interval' THEN 'an interval such as "30 s"'
        WHEN 'bytes' THEN 'a size such as "5MB", or a number of bytes'
        WHEN 'object' THEN 'an object'
        WHEN 'text_array' THEN 'an array of texts'
        WHEN 'url' THEN 'an URL or an array of URLs'
        WHEN 'path' THEN 'the absolute path of a file or directory'
    END;

    IF NOT (CASE definition.type
               WHEN 'integer' THEN json_type = 'number' AND plain::numeric = trunc(plain::numeric)
               WHEN 'real' THEN json_type = 'number'
               WHEN 'boolean' THEN json_type = 'boolean'
               WHEN 'bytes' THEN json_type = 'string' OR (json_type = 'number' AND plain::numeric = trunc(plain::numeric))
               WHEN 'object' THEN json_type = 'object'
               WHEN 'text_array' THEN json_type = 'array' AND NOT EXISTS (SELECT FROM jsonb_array_elements(CASE json_type WHEN 'array' THEN value ELSE '[]' END) AS e WHERE jsonb_typeof(e) <> 'string' OR e = '""')
               WHEN 'url' THEN json_type = 'string' OR (json_type = 'array' AND value <> '[]' AND NOT EXISTS (SELECT FROM jsonb_array_elements(CASE json_type WHEN 'array' THEN value ELSE '[]' END) AS e WHERE jsonb_typeof(e) <> 'string'))
               WHEN 'path' THEN json_type = 'string' AND plain LIKE '/%'
               ELSE json_type = 'string' AND (plain = ANY (definition.choices)) IS NOT FALSE
           END) THEN
        problem := format('%s is not %s', left(value::text, 200), expected);
    END IF;

    IF problem IS NULL AND definition.type IN ('interval', 'bytes') THEN
        BEGIN
            plain := conveyor.option_plain(definition.type, value) #>> '{}';
        EXCEPTION WHEN data_exception THEN
            problem := format('%s is not %s', left(value::text, 200), expected);
        END;
    END IF;

    IF problem IS NULL AND definition.type IN ('integer', 'real', 'interval', 'bytes')
       AND (plain::numeric < (conveyor.option_plain(definition.type, to_jsonb(definition.minimum)) #>> '{}')::numeric
         OR plain::numeric > (conveyor.option_plain(definition.type, to_jsonb(definition.maximum)) #>> '{}')::numeric) THEN
        problem := format('%s is out of range', left(value::text, 200));
    END IF;

    IF problem IS NULL AND definition.type = 'url' THEN
        FOR url IN SELECT jsonb_array_elements_text(conveyor.option_plain('url', value)) LOOP
            IF conveyor.url_problem(url) = 'it must not contain a user or a password' THEN
                -- The URL is not shown: what it holds must not reach a log.
                RAISE EXCEPTION 'option "%" must not contain a user or a password', definition.name
                    USING ERRCODE = 'invalid_parameter_value',
                          HINT = 'Give the URL without them. The agent takes secrets from its environment '
                                 '(CONVEYOR_<TARGET>_PASSWORD, CONVEYOR_<TARGET>_API_KEY) or from files named in its configuration; '
                                 'the user''s name goes into the option "user".';
            ELSIF conveyor.url_problem(url) IS NOT NULL THEN
                problem := format('"%s" is not an URL to send to: %s', left(url, 200), conveyor.url_problem(url));
            END IF;
        END LOOP;
    END IF;

    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'invalid value for option "%": %', definition.name, problem
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = definition.description,
                  HINT = format('Give %s%s.', expected,
                                CASE WHEN definition.minimum IS NOT NULL AND definition.maximum IS NOT NULL
                                     THEN format(' between %s and %s', definition.minimum, definition.maximum)
                                     WHEN definition.minimum IS NOT NULL THEN format(' of at least %s', definition.minimum)
                                     ELSE '' END);
    END IF;
END
$$;

-- Checks `options` against the table and returns them without NULLs. Every create_… and alter_… goes through here.
CREATE FUNCTION conveyor.check_options(object text, kind text, options jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition conveyor.option_definition;
    given      text;
    value      jsonb;
BEGIN
    IF options IS NULL OR jsonb_typeof(options) <> 'object' THEN
        RAISE EXCEPTION 'options of a % must be a JSON object', object
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give {} for the defaults.';
    END IF;
    options := conveyor.without_nulls(options);

    FOR given, value IN SELECT e.key, e.value FROM jsonb_each(options) AS e LOOP
        SELECT d.* INTO definition
          FROM conveyor.option_definition d
         WHERE d.object = check_options.object AND d.name = given AND (d.kind IS NULL OR d.kind = check_options.kind);
        IF NOT FOUND THEN
            IF given ~* '(pass(word|wd)?|api_?key|token|credential)' THEN
                RAISE EXCEPTION '% has no option "%": secrets are not kept in the database', concat_ws(' ', object, kind), given
                    USING ERRCODE = 'undefined_parameter',
                          HINT = 'Give them to the agent, in its environment (CONVEYOR_<TARGET>_PASSWORD, CONVEYOR_<TARGET>_API_KEY) or in files '
                                 'that its configuration names; the user''s name goes into the option "user".';
            END IF;
            RAISE EXCEPTION '% has no option "%"', concat_ws(' ', object, kind), given
                USING ERRCODE = 'undefined_parameter',
                      HINT = format('Options are %s.', (SELECT string_agg(d.name, ', ' ORDER BY d.name) FROM conveyor.option_definition d
                                                          WHERE d.object = check_options.object AND (d.kind IS NULL OR d.kind = check_options.kind)));
        END IF;
        PERFORM conveyor.check_option(definition, value);
    END LOOP;

    FOR definition IN
        SELECT d.* FROM conveyor.option_definition d
         WHERE d.object = check_options.object AND (d.kind IS NULL OR d.kind = check_options.kind) AND d.required AND NOT options ? d.name
         ORDER BY d.name
    LOOP
        RAISE EXCEPTION '% needs the option "%"', concat_ws(' ', object, kind), definition.name
            USING ERRCODE = 'invalid_parameter_value', DETAIL = definition.description,
                  HINT = format('Give it in options: {"%s": …}.', definition.name);
    END LOOP;
    RETURN options;
END
$$;

-- The defaults, in plain units (option_plain()).
CREATE FUNCTION conveyor.option_defaults(object text, kind text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_object_agg(d.name, conveyor.option_plain(d.type, d.default_value)), '{}')
          FROM conveyor.option_definition d
         WHERE d.object = option_defaults.object AND (d.kind IS NULL OR d.kind = option_defaults.kind) AND d.default_value IS NOT NULL);

-- What was given, in plain units. Laid over the defaults it makes the options that apply.
CREATE FUNCTION conveyor.given_options(object text, kind text, options jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT coalesce(jsonb_object_agg(d.name, conveyor.option_plain(d.type, e.value)), '{}')
          FROM jsonb_each(options) AS e
          JOIN conveyor.option_definition d ON d.object = given_options.object AND d.name = e.key AND (d.kind IS NULL OR d.kind = given_options.kind));

-- One option of a delivery as it applies.
CREATE FUNCTION conveyor.delivery_option(options jsonb, name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT conveyor.option_plain(d.type, coalesce(options -> d.name, d.default_value)) #>> '{}'
          FROM conveyor.option_definition d WHERE d.object = 'delivery' AND d.name = delivery_option.name);
