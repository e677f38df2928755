#include "fetch/query.hpp"

#include "fetch/comparison.hpp"

extern "C" {
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "utils/hsearch.h"
}

namespace conveyor {

namespace {

const char* column(const Feed* feed, int i) { return quote_identifier(feed->key[i].name); }

void append_select(StringInfo sql, const Feed* feed, Wanted wanted) {
  appendStringInfoString(sql, "SELECT ");
  append_id(sql, feed, "v", nullptr);
  if (wanted != Wanted::keys) appendStringInfoString(sql, ", pg_catalog.row_to_json(v.*)");
  appendStringInfo(sql, " FROM %s AS v WHERE ", feed->view_name);
}

// Rows of one id come one after another: equal keys by the first terms, and among those whose texts differ by the text.
void append_order(StringInfo sql, const Feed* feed) {
  appendStringInfoString(sql, " ORDER BY ");
  for (int i = 0; i < feed->keys; i++) appendStringInfo(sql, "%sv.%s", i == 0 ? "" : ", ", column(feed, i));
  for (int i = 0; i < feed->keys; i++)
    if (!feed->key[i].exact) appendStringInfo(sql, ", v.%s::pg_catalog.text COLLATE pg_catalog.\"C\"", column(feed, i));
}

}  // namespace

void append_id(StringInfo sql, const Feed* feed, const char* alias, char** columns) {
  auto name = [&](int i) { return quote_identifier(columns != nullptr ? columns[i] : feed->key[i].name); };
  if (feed->keys == 1) {
    appendStringInfo(sql, "%s.%s::pg_catalog.text", alias, name(0));
    return;
  }
  appendStringInfoString(sql, "CASE WHEN ");
  for (int i = 0; i < feed->keys; i++)
    appendStringInfo(sql, "%s%s.%s IS NOT NULL", i == 0 ? "" : " AND ", alias, name(i));
  appendStringInfoString(sql, " THEN pg_catalog.array_to_json(ARRAY[");
  for (int i = 0; i < feed->keys; i++)
    appendStringInfo(sql, "%s%s.%s::pg_catalog.text", i == 0 ? "" : ", ", alias, name(i));
  appendStringInfoString(sql, "])::pg_catalog.text END");
}

const char* query_by_keys(const Feed* feed, Wanted wanted) {
  StringInfoData sql;
  initStringInfo(&sql);
  append_select(&sql, feed, wanted);
  // One ANY a column finds its way into the view and to an index; of several columns it selects too much, and the
  // semi-join says which combinations were meant.
  for (int i = 0; i < feed->keys; i++)
    appendStringInfo(&sql, "%sv.%s %s ANY ($%d::%s[])", i == 0 ? "" : " AND ", column(feed, i), feed->key[i].equal,
                     i + 1, feed->key[i].type_name);
  if (feed->keys > 1) {
    appendStringInfoString(&sql, " AND EXISTS (SELECT FROM ROWS FROM (");
    for (int i = 0; i < feed->keys; i++) appendStringInfo(&sql, "%spg_catalog.unnest($%d)", i == 0 ? "" : ", ", i + 1);
    appendStringInfoString(&sql, ") AS asked(");
    for (int i = 0; i < feed->keys; i++) appendStringInfo(&sql, "%sk%d", i == 0 ? "" : ", ", i + 1);
    appendStringInfoString(&sql, ") WHERE ");
    for (int i = 0; i < feed->keys; i++)
      appendStringInfo(&sql, "%sasked.k%d %s v.%s", i == 0 ? "" : " AND ", i + 1, feed->key[i].equal, column(feed, i));
    appendStringInfoChar(&sql, ')');
  }
  append_order(&sql, feed);
  return sql.data;
}

const char* query_by_range(const Feed* feed, Wanted wanted, bool first, bool last) {
  StringInfoData sql;
  initStringInfo(&sql);
  append_select(&sql, feed, wanted);
  for (int i = 0; i < feed->keys; i++)
    appendStringInfo(&sql, "%sv.%s IS NOT NULL", i == 0 ? "" : " AND ", column(feed, i));
  if (first) {
    appendStringInfoString(&sql, " AND ");
    append_comparison(&sql, feed->key, feed->keys, "v", nullptr, true, false, 1);
  }
  if (last) {
    appendStringInfoString(&sql, " AND ");
    append_comparison(&sql, feed->key, feed->keys, "v", nullptr, false, true, first ? feed->keys + 1 : 1);
  }
  append_order(&sql, feed);
  return sql.data;
}

const char* query_null_keys(const Feed* feed) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfo(&sql, "SELECT NULL::pg_catalog.text, pg_catalog.count(*) FROM %s AS v WHERE ", feed->view_name);
  for (int i = 0; i < feed->keys; i++) appendStringInfo(&sql, "%sv.%s IS NULL", i == 0 ? "" : " OR ", column(feed, i));
  return sql.data;
}

const char* query_range_end(const Feed* feed, bool after) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfoString(&sql, "SELECT ARRAY[");
  for (int i = 0; i < feed->keys; i++)
    appendStringInfo(&sql, "%sr.%s::pg_catalog.text", i == 0 ? "" : ", ", quote_identifier(feed->root_key[i]));
  appendStringInfo(&sql, "] FROM %s AS r", feed->root_name);
  if (after) {
    appendStringInfoString(&sql, " WHERE ");
    append_comparison(&sql, feed->key, feed->keys, "r", feed->root_key, true, false, 1);
  }
  appendStringInfoString(&sql, " ORDER BY ");
  for (int i = 0; i < feed->keys; i++)
    appendStringInfo(&sql, "%sr.%s", i == 0 ? "" : ", ", quote_identifier(feed->root_key[i]));
  appendStringInfo(&sql, " OFFSET $%d - 1 LIMIT 1", after ? feed->keys + 1 : 1);
  return sql.data;
}

SPIPlanPtr prepare_query(const Feed* feed, const char* sql, int repeat, bool arrays, Oid extra) {
  int count = feed->keys * repeat;
  Oid* types = static_cast<Oid*>(palloc(sizeof(Oid) * (count + 1)));
  for (int i = 0; i < count; i++) {
    Oid type = feed->key[i % feed->keys].type;
    types[i] = arrays ? get_array_type(type) : type;
  }
  if (OidIsValid(extra)) types[count++] = extra;
  SPIPlanPtr plan = SPI_prepare_cursor(sql, count, types, CURSOR_OPT_NO_SCROLL | CURSOR_OPT_FAST_PLAN);
  if (plan == nullptr) elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
  return plan;
}

SPIPlanPtr kept_query(const Feed* feed, const char* sql, bool arrays) {
  struct Kept {
    uint64 hash;  // of the text, which names view, key and types
    char* sql;
    SPIPlanPtr plan;
  };
  constexpr long kMany = 64;
  static HTAB* queries = nullptr;
  if (queries != nullptr && hash_get_num_entries(queries) >= kMany) {
    HASH_SEQ_STATUS status;
    hash_seq_init(&status, queries);
    while (Kept* kept = static_cast<Kept*>(hash_seq_search(&status))) {
      SPI_freeplan(kept->plan);
      pfree(kept->sql);
    }
    hash_destroy(queries);
    queries = nullptr;
  }
  if (queries == nullptr) {
    HASHCTL control = {};
    control.keysize = sizeof(uint64);
    control.entrysize = sizeof(Kept);
    queries = hash_create("conveyor queries", kMany, &control, HASH_ELEM | HASH_BLOBS);
  }
  uint64 hash = hash_bytes_extended(reinterpret_cast<const unsigned char*>(sql), static_cast<int>(strlen(sql)), 0);
  Kept* kept = static_cast<Kept*>(hash_search(queries, &hash, HASH_FIND, nullptr));
  if (kept != nullptr && strcmp(kept->sql, sql) == 0 && SPI_plan_is_valid(kept->plan)) return kept->plan;

  SPIPlanPtr plan = prepare_query(feed, sql, 1, arrays, InvalidOid);
  SPI_keepplan(plan);
  char* text = MemoryContextStrdup(TopMemoryContext, sql);
  bool found;
  kept = static_cast<Kept*>(hash_search(queries, &hash, HASH_ENTER, &found));
  if (found) {
    SPI_freeplan(kept->plan);
    pfree(kept->sql);
  }
  kept->sql = text;
  kept->plan = plan;
  return plan;
}

}  // namespace conveyor
