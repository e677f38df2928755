// analyse_feed(view, key, root): checks what create_feed() was given and completes it.
#include "analyse/table.hpp"
#include "analyse/view.hpp"
#include "fetch/answer.hpp"
#include "fetch/feed.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace conveyor {

namespace {

struct FeedKey {
  int count;
  AttrNumber* columns;       // of the view
  Oid root;                  // InvalidOid: none
  AttrNumber* root_columns;  // parallel to `columns`
};

void require_encoding() {
  if (GetDatabaseEncoding() != PG_SQL_ASCII) return;
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("documents cannot be made in a database with encoding SQL_ASCII"),
                  errdetail("Documents are UTF-8, and what encoding its text is in is not known."),
                  errhint("Move the data to a database that was made with CREATE DATABASE ... ENCODING 'UTF8'.")));
}

void require_readable(Relation view) {
  const char* remedy = nullptr;
  switch (view->rd_rel->relkind) {
    case RELKIND_VIEW:
      return;
    case RELKIND_RELATION:
    case RELKIND_PARTITIONED_TABLE:
      return;
    case RELKIND_MATVIEW:
      remedy = "Make an ordinary view of the same query: CREATE VIEW ... AS ...";
      break;
    default:
      remedy = "Make a view with one row per document: CREATE VIEW ... AS SELECT ...";
      break;
  }
  ereport(ERROR,
          (errcode(ERRCODE_WRONG_OBJECT_TYPE),
           errmsg("\"%s\" is neither a view nor a table", RelationGetRelationName(view)), errhint("%s", remedy)));
}

void require_column_types(Relation view) {
  TupleDesc shape = RelationGetDescr(view);
  for (int i = 0; i < shape->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(shape, i);
    if (column->attisdropped || get_typtype(getBaseType(column->atttypid)) != TYPTYPE_PSEUDO) continue;
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("column \"%s\" of \"%s\" cannot be part of a document", NameStr(column->attname),
                           RelationGetRelationName(view)),
                    errdetail("It is of pseudo-type %s.", format_type_be(column->atttypid)),
                    errhint("Cast it in the view, for example to text or jsonb.")));
  }
}

AttrNumber view_column(Relation view, const char* name) {
  AttrNumber number = get_attnum(RelationGetRelid(view), name);
  if (number > 0) return number;
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                  errmsg("\"%s\" has no column \"%s\"", RelationGetRelationName(view), name),
                  errhint("The key names columns of the view: key => ARRAY['...'].")));
}

// The column of the view that is this column of the occurrence; 0 where there is none.
AttrNumber column_from(const ViewAnalysis& analysis, const char* path, AttrNumber column) {
  for (int i = 0; i < analysis.columns; i++)
    if (analysis.origin[i].path != nullptr && strcmp(analysis.origin[i].path, path) == 0 &&
        analysis.origin[i].column == column)
      return static_cast<AttrNumber>(i + 1);
  return 0;
}

// The key as the whole primary key of an occurrence; false where the view lacks some of it.
bool key_of_occurrence(const ViewAnalysis& analysis, const Occurrence* occurrence, FeedKey* key) {
  AttrNumber* columns;
  int count = primary_key(occurrence->relation, &columns);
  if (count == 0) return false;
  AttrNumber* mapped = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * count));
  for (int i = 0; i < count; i++)
    if ((mapped[i] = column_from(analysis, occurrence->path, columns[i])) == 0) return false;
  *key = {count, mapped, occurrence->relation, columns};
  return true;
}

// The table that the documents seem to be made of should have a key: naming that tells more than that none was found.
void require_leftmost_key(const ViewAnalysis& analysis) {
  AttrNumber* columns;
  if (analysis.occurrences == NIL) return;
  Oid leftmost = static_cast<Occurrence*>(linitial(analysis.occurrences))->relation;
  if (primary_key(leftmost, &columns) > 0) return;
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_TABLE_DEFINITION), errmsg("table %s has no primary key", relation_name(leftmost)),
           errdetail("The key of the documents would be its primary key."),
           errhint("Run ALTER TABLE %s ADD PRIMARY KEY (...), or name the key of the view: key => ARRAY['...'].",
                   relation_name(leftmost))));
}

void find_key(Relation view, const ViewAnalysis& analysis, Oid root, FeedKey* key) {
  ListCell* cell;
  foreach (cell, analysis.occurrences) {
    const Occurrence* occurrence = static_cast<Occurrence*>(lfirst(cell));
    if (OidIsValid(root) && occurrence->relation != root) continue;
    if (key_of_occurrence(analysis, occurrence, key)) return;
  }
  require_leftmost_key(analysis);
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("cannot tell which columns of \"%s\" are its key", RelationGetRelationName(view)),
                  errdetail("No table that it reads has its whole primary key among the columns of the view."),
                  errhint("Add the primary key's columns to the view, or name the key: key => ARRAY['...'].")));
}

void given_key(FunctionCallInfo fcinfo, Relation view, FeedKey* key) {
  char** names = key_arguments(fcinfo, 1, &key->count);
  if (key->count == 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("key of a feed must have at least one column"),
                    errhint("Name columns of the view, or leave the key out.")));
  key->columns = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * key->count));
  for (int i = 0; i < key->count; i++) {
    key->columns[i] = view_column(view, names[i]);
    for (int j = 0; j < i; j++)
      if (key->columns[j] == key->columns[i])
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN), errmsg("column \"%s\" is in the key twice", names[i])));
  }
}

// The root of a key that was given: the table whose whole primary key it is, if all of it comes from one occurrence.
void find_root(const ViewAnalysis& analysis, Oid wanted, FeedKey* key) {
  const Origin& first = analysis.origin[key->columns[0] - 1];
  if (first.path == nullptr || (OidIsValid(wanted) && first.relation != wanted)) return;
  AttrNumber* columns;
  if (primary_key(first.relation, &columns) != key->count) return;
  AttrNumber* root_columns = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * key->count));
  for (int i = 0; i < key->count; i++) {
    const Origin& origin = analysis.origin[key->columns[i] - 1];
    if (origin.path == nullptr || strcmp(origin.path, first.path) != 0) return;
    bool found = false;
    for (int j = 0; j < key->count; j++) found = found || columns[j] == origin.column;
    if (!found) return;
    root_columns[i] = origin.column;
  }
  key->root = first.relation;
  key->root_columns = root_columns;
}

// A root that was named must be one: part of the view, with a primary key, which is the key.
void require_root(Relation view, const ViewAnalysis& analysis, Oid root, const FeedKey* key) {
  if (!list_member_oid(analysis.relations, root))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("\"%s\" does not read table %s", RelationGetRelationName(view), relation_name(root)),
                    errhint("Name a table that the view reads as root, or leave it out.")));
  AttrNumber* columns;
  if (primary_key(root, &columns) == 0)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_TABLE_DEFINITION), errmsg("table %s has no primary key", relation_name(root)),
             errhint("Run ALTER TABLE %s ADD PRIMARY KEY (...), or leave the root out and name the key.",
                     relation_name(root))));
  if (key != nullptr && key->root != root)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("key of \"%s\" is not the primary key of %s", RelationGetRelationName(view), relation_name(root)),
             errhint("Name all columns of the view that are the primary key of %s, or leave the root out.",
                     relation_name(root))));
}

FeedKey determine_key(FunctionCallInfo fcinfo, Relation view, const ViewAnalysis& analysis) {
  FeedKey key = {};
  Oid root = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);
  if (OidIsValid(root) && get_rel_name(root) == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("root table with OID %u does not exist", root)));
  if (PG_ARGISNULL(1)) {
    if (OidIsValid(root)) require_root(view, analysis, root, nullptr);
    find_key(view, analysis, root, &key);
  } else {
    given_key(fcinfo, view, &key);
    find_root(analysis, root, &key);
    if (OidIsValid(root)) require_root(view, analysis, root, &key);
  }
  return key;
}

Datum names_array(Oid relation, const AttrNumber* columns, int count) {
  Datum* names = static_cast<Datum*>(palloc(sizeof(Datum) * count));
  for (int i = 0; i < count; i++) names[i] = CStringGetTextDatum(get_attname(relation, columns[i], false));
  return PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum oid_array(const Datum* oids, int count) {
  return PointerGetDatum(construct_array(const_cast<Datum*>(oids), count, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

Datum key_types_array(Relation view, const FeedKey& key) {
  Datum* types = static_cast<Datum*>(palloc(sizeof(Datum) * key.count));
  for (int i = 0; i < key.count; i++) {
    Form_pg_attribute column = TupleDescAttr(RelationGetDescr(view), key.columns[i] - 1);
    types[i] = ObjectIdGetDatum(key_column(NameStr(column->attname), column->atttypid).type);
  }
  return oid_array(types, key.count);
}

Datum relations_array(const ViewAnalysis& analysis) {
  int count = list_length(analysis.relations);
  Datum* oids = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
  for (int i = 0; i < count; i++) oids[i] = ObjectIdGetDatum(list_nth_oid(analysis.relations, i));
  return oid_array(oids, count);
}

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(analyse_feed) {
  using namespace conveyor;
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("view of a feed must not be null")));
  require_encoding();
  Relation view = relation_open(PG_GETARG_OID(0), AccessShareLock);
  require_readable(view);
  require_column_types(view);
  ViewAnalysis analysis = analyse_view(view);
  FeedKey key = determine_key(fcinfo, view, analysis);

  TupleDesc shape;
  if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  bool rooted = OidIsValid(key.root);
  Datum values[] = {names_array(RelationGetRelid(view), key.columns, key.count), key_types_array(view, key),
                    ObjectIdGetDatum(key.root),
                    rooted ? names_array(key.root, key.root_columns, key.count) : static_cast<Datum>(0),
                    relations_array(analysis)};
  bool nulls[] = {false, false, !rooted, !rooted, false};
  relation_close(view, NoLock);
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}
