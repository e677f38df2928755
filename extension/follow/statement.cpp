#include "follow/statement.hpp"

#include "fetch/query.hpp"
#include "follow/keys.hpp"
#include "migrate/statement.hpp"

extern "C" {
#include "lib/stringinfo.h"
}

namespace conveyor::follow {

namespace {

// s: the source, c: the keys.
void append_same_key(StringInfo sql, const migrate::Job* job) {
  for (int i = 0; i < job->keys; i++) {
    const char* column = quote_identifier(job->key[i].name);
    appendStringInfo(sql, "%ss.%s %s c.%s", i == 0 ? "" : " AND ", column, job->key[i].equal, column);
  }
}

// Keys may be equal and still be different texts (1.0 and 1.00, citext): then a row has changed from one key to
// another.
void append_same_image(StringInfo sql, const migrate::Job* job) {
  for (int i = 0; i < job->keys; i++) {
    if (job->key[i].exact && !type_is_collatable(job->key[i].type)) continue;
    const char* column = quote_identifier(job->key[i].name);
    appendStringInfo(sql, " AND pg_catalog.record_image_eq(ROW(s.%s), ROW(c.%s))", column, column);
  }
}

void append_condition(StringInfo sql, const migrate::Job* job) {
  if (job->condition != nullptr) appendStringInfo(sql, " AND (\n%s\n)", job->condition);
}

Feed as_feed(const migrate::Job* job) {
  Feed feed = {};
  feed.keys = job->keys;
  feed.key = job->key;
  return feed;
}

}  // namespace

char* batch_of_keys(const migrate::Job* job) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfo(&sql, "SELECT s.* FROM %s AS s WHERE EXISTS (SELECT FROM %s AS c WHERE ", job->source_name,
                   quote_identifier(kKeys));
  append_same_key(&sql, job);
  appendStringInfoChar(&sql, ')');
  append_condition(&sql, job);
  return migrate::with_batch(job->statement, "batch", sql.data);
}

char* gone_keys(const migrate::Job* job, const char* delete_statement) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfo(&sql, "SELECT c.* FROM %s AS c WHERE NOT EXISTS (SELECT FROM %s AS s WHERE ",
                   quote_identifier(kKeys), job->source_name);
  append_same_key(&sql, job);
  append_same_image(&sql, job);
  append_condition(&sql, job);
  appendStringInfoChar(&sql, ')');
  return migrate::with_batch(delete_statement, "gone", sql.data);
}

char* id_of_keys(const migrate::Job* job) {
  Feed feed = as_feed(job);
  StringInfoData sql;
  initStringInfo(&sql);
  append_id(&sql, &feed, "c", nullptr);
  return sql.data;
}

char* parts_of_keys(const migrate::Job* job) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfoString(&sql, "ARRAY[");
  for (int i = 0; i < job->keys; i++)
    appendStringInfo(&sql, "%sc.%s::pg_catalog.text", i == 0 ? "" : ", ", quote_identifier(job->key[i].name));
  appendStringInfoString(&sql, "]::pg_catalog.text[]");
  return sql.data;
}

}  // namespace conveyor::follow
