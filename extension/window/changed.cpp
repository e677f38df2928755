#include "window/changed.hpp"

#include "fetch/query.hpp"

extern "C" {
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/queryenvironment.h"
}

namespace conveyor {

namespace {

void fill(Changed* changed, const WatchedCapture* pair, TupleDesc shape) {
  const CaptureDefinition* definition = pair->capture->definition;
  const KeySet* entries = &pair->capture->entries;
  Datum* recorded = static_cast<Datum*>(palloc(sizeof(Datum) * (definition->ncolumns + 1)));
  bool* absent = static_cast<bool*>(palloc(sizeof(bool) * (definition->ncolumns + 1)));
  Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * (pair->columns + 1)));
  bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * (pair->columns + 1)));
  MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "pg_conveyor changed row", ALLOCSET_DEFAULT_SIZES);
  for (Size at = 0; at < entries->used; at = key_set_next(entries, at)) {
    CHECK_FOR_INTERRUPTS();
    MemoryContext old = MemoryContextSwitchTo(row);
    decode_entry(definition, key_set_bytes_at(entries, at), static_cast<int32>(key_set_length_at(entries, at)),
                 recorded, absent);
    for (int i = 0; i < pair->columns; i++) {
      values[i] = recorded[pair->mapping[i]];
      nulls[i] = absent[pair->mapping[i]];
    }
    tuplestore_putvalues(changed->rows, shape, values, nulls);
    MemoryContextSwitchTo(old);
    MemoryContextReset(row);
  }
  MemoryContextDelete(row);
}

EphemeralNamedRelation relation(Changed* changed, const WatchedCapture* pair, TupleDesc shape) {
  EphemeralNamedRelation enr = static_cast<EphemeralNamedRelation>(palloc0(sizeof(EphemeralNamedRelationData)));
  enr->md.name = pstrdup("changed");
  enr->md.reliddesc = InvalidOid;
  enr->md.tupdesc = shape;
  enr->md.enrtype = ENR_NAMED_TUPLESTORE;
  enr->md.enrtuples = static_cast<double>(pair->capture->entries.count);
  enr->reldata = changed->rows;
  return enr;
}

// The query's columns, cast to the key's types, as ids.
const char* id_query(const Feed* feed, const WatchedCapture* pair) {
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfoString(&sql, "SELECT ");
  char** names = static_cast<char**>(palloc(sizeof(char*) * feed->keys));
  for (int i = 0; i < feed->keys; i++) names[i] = psprintf("k%d", i + 1);
  append_id(&sql, feed, "d", names);
  appendStringInfoString(&sql, " FROM (SELECT ");
  for (int i = 0; i < feed->keys; i++)
    appendStringInfo(&sql, "%sq.k%d::%s AS k%d", i == 0 ? "" : ", ", i + 1, feed->key[i].type_name, i + 1);
  // On lines of its own, so that a comment at its end is harmless.
  appendStringInfo(&sql, " FROM (\n%s\n) AS q(", pair->documents);
  for (int i = 0; i < feed->keys; i++) appendStringInfo(&sql, "%sk%d", i == 0 ? "" : ", ", i + 1);
  appendStringInfoString(&sql, ")) AS d");
  return sql.data;
}

}  // namespace

TupleDesc changed_shape(const WatchedCapture* pair) {
  TupleDesc shape = CreateTemplateTupleDesc(pair->columns);
  for (int i = 0; i < pair->columns; i++) {
    auto number = static_cast<AttrNumber>(i + 1);
    TupleDescInitEntry(shape, number, pair->names[i], pair->capture->definition->columns[pair->mapping[i]].type, -1, 0);
    // Comparisons in the key query mean what they mean with the table's own column.
    AttrNumber own = get_attnum(pair->relation, pair->names[i]);
    if (own == InvalidAttrNumber) continue;
    Oid type;
    int32 modifier;
    Oid collation;
    get_atttypetypmodcoll(pair->relation, own, &type, &modifier, &collation);
    TupleDescInitEntryCollation(shape, number, collation);
  }
  return shape;
}

void changed_open(Changed* changed, const Feed* feed, const WatchedCapture* pair, Cursor* cursor) {
  changed->context = AllocSetContextCreate(CurrentMemoryContext, "pg_conveyor changed", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(changed->context);
  TupleDesc shape = changed_shape(pair);
  changed->rows = tuplestore_begin_heap(false, false, work_mem);
  fill(changed, pair, shape);

  SPI_connect();
  // The portal keeps the environment that the relation is registered in, so it must outlive this connection.
  MemoryContext spi = MemoryContextSwitchTo(changed->context);
  int status = SPI_register_relation(relation(changed, pair, shape));
  if (status != SPI_OK_REL_REGISTER) elog(ERROR, "could not register changed: %s", SPI_result_code_string(status));
  MemoryContextSwitchTo(spi);
  cursor_open(cursor, prepare_query(feed, id_query(feed, pair), 0, false, InvalidOid), nullptr, nullptr);
  SPI_finish();
  MemoryContextSwitchTo(old);
}

void changed_close(Changed* changed) {
  if (changed->rows != nullptr) tuplestore_end(changed->rows);
  if (changed->context != nullptr) MemoryContextDelete(changed->context);
  *changed = {};
}

}  // namespace conveyor
