"""Transaction ids are used up while the log is idle: its segments must not be what makes the server vacuum, or stop."""

from database import make_template

LIMIT = 100_000


def test_segments_that_nothing_is_written_into_stay_young(make_cluster, make_database):
    """The least limit that PostgreSQL allows; half of it is when a segment's file is made anew."""
    cluster = make_cluster("ageing", {"autovacuum_freeze_max_age": LIMIT, "autovacuum": "off"})
    make_template(cluster)
    database = make_database(on=cluster)
    database.sql("CREATE TABLE shop.ids (id int)")
    database.sql(
        f"""DO $$ BEGIN
            FOR n IN 1 .. {LIMIT * 6 // 10} LOOP
                BEGIN INSERT INTO shop.ids VALUES (n); EXCEPTION WHEN division_by_zero THEN NULL; END;
            END LOOP;
        END $$"""
    )
    ages = "SELECT age(relfrozenxid) FROM pg_class WHERE oid IN (SELECT relation FROM conveyor.log_segment)"
    assert min(age for (age,) in database.sql(ages)) > LIMIT // 2
    database.sql("SELECT conveyor.tick()")
    old = [age for (age,) in database.sql(ages) if age > LIMIT // 2]
    # The one that writers would use now is left to them until they have moved on.
    assert len(old) <= 1, old
