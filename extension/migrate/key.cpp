#include "migrate/key.hpp"

#include "analyse/table.hpp"

extern "C" {
#include "catalog/pg_am.h"
#include "catalog/pg_opclass.h"
#include "commands/defrem.h"
#include "utils/syscache.h"
}

namespace conveyor::migrate {

namespace {

// Rows in the order of the index are rows in the order of `=`, `<` and ORDER BY: its operator classes and collations
// are the columns' own, all in one direction.
bool is_plain(Relation index, Relation table, int columns) {
  for (int i = 0; i < columns; i++) {
    Form_pg_attribute column = TupleDescAttr(table->rd_att, index->rd_index->indkey.values[i] - 1);
    Oid opclass = GetDefaultOpClass(getBaseType(column->atttypid), BTREE_AM_OID);
    if (!OidIsValid(opclass) || get_opclass_family(opclass) != index->rd_opfamily[i]) return false;
    if (index->rd_indcollation[i] != column->attcollation) return false;
    if (((index->rd_indoption[i] ^ index->rd_indoption[0]) & INDOPTION_DESC) != 0) return false;
  }
  return true;
}

bool serves(Relation index, Relation table, const AttrNumber* columns, int count) {
  Form_pg_index form = index->rd_index;
  if (index->rd_rel->relam != BTREE_AM_OID || !form->indisunique || !form->indisvalid || !form->indimmediate)
    return false;
  if (form->indnkeyatts != count) return false;
  if (RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL) return false;
  for (int i = 0; i < count; i++)
    if (form->indkey.values[i] != columns[i]) return false;
  return is_plain(index, table, count);
}

// NULL where there is none.
Relation open_index(Relation table, const AttrNumber* columns, int count) {
  ListCell* cell;
  foreach (cell, RelationGetIndexList(table)) {
    Relation index = relation_open(lfirst_oid(cell), AccessShareLock);
    if (serves(index, table, columns, count)) return index;
    relation_close(index, AccessShareLock);
  }
  return nullptr;
}

AttrNumber* given_columns(Relation table, char** names, int count) {
  if (count == 0 || count > INDEX_MAX_KEYS)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("key of the job must have between 1 and %d columns", INDEX_MAX_KEYS)));
  AttrNumber* columns = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * count));
  for (int i = 0; i < count; i++) {
    columns[i] = get_attnum(RelationGetRelid(table), names[i]);
    if (columns[i] <= 0)
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                      errmsg("column \"%s\" of %s does not exist", names[i], relation_name(RelationGetRelid(table)))));
  }
  return columns;
}

}  // namespace

void find_key(Job* job, char** names, int count) {
  Relation table = relation_open(job->source, AccessShareLock);
  AttrNumber* columns;
  if (names != nullptr) {
    columns = given_columns(table, names, count);
  } else {
    count = primary_key(job->source, &columns);
    if (count == 0)
      ereport(ERROR,
              (errcode(ERRCODE_INVALID_TABLE_DEFINITION), errmsg("table %s has no primary key", job->source_name),
               errhint("Give key => ARRAY[...], the columns of a unique index that are all NOT NULL.")));
  }
  bool complete = true;
  job->keys = count;
  job->key = static_cast<KeyColumn*>(palloc(sizeof(KeyColumn) * count));
  for (int i = 0; i < count; i++) {
    Form_pg_attribute column = TupleDescAttr(table->rd_att, columns[i] - 1);
    complete = complete && column->attnotnull;
    job->key[i] = key_column_for(kKeyPurpose, NameStr(column->attname), column->atttypid, kKeyHint);
  }
  Relation index = open_index(table, columns, count);
  if (index != nullptr) relation_close(index, AccessShareLock);
  if (!complete || index == nullptr)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_TABLE_DEFINITION),
             errmsg("no unique index of %s is over the columns of the key, all of them NOT NULL", job->source_name),
             errdetail(
                 "Ranges of rows are read by it, in the order of the columns' types, and it must find each row once."),
             errhint("Give key => ARRAY[...] with the columns of such an index in its order, or make one with CREATE "
                     "UNIQUE INDEX CONCURRENTLY.")));
  relation_close(table, NoLock);
}

Relation open_key_index(Relation table, const Job* job) {
  AttrNumber* columns = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * job->keys));
  for (int i = 0; i < job->keys; i++) columns[i] = get_attnum(RelationGetRelid(table), job->key[i].name);
  return open_index(table, columns, job->keys);
}

Datum key_names(const Job* job) {
  Datum* items = static_cast<Datum*>(palloc(sizeof(Datum) * job->keys));
  for (int i = 0; i < job->keys; i++) items[i] = CStringGetTextDatum(job->key[i].name);
  return PointerGetDatum(construct_array(items, job->keys, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum key_type_array(const Job* job) {
  List* types = NIL;
  for (int i = 0; i < job->keys; i++) types = lappend_oid(types, job->key[i].type);
  return oid_array(types);
}

Datum oid_array(const List* oids) {
  Datum* items = static_cast<Datum*>(palloc(sizeof(Datum) * (list_length(oids) + 1)));
  for (int i = 0; i < list_length(oids); i++) items[i] = ObjectIdGetDatum(list_nth_oid(oids, i));
  return PointerGetDatum(construct_array(items, list_length(oids), OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

}  // namespace conveyor::migrate
