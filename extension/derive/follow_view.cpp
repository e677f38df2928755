// follow_view(view, key, ignore): the watches of a feed, and what stands against them.
#include "analyse/table.hpp"
#include "derive/follow.hpp"
#include "fetch/answer.hpp"
#include "fetch/feed.hpp"
#include "fetch/owner.hpp"

#include <array>

extern "C" {
#include "utils/regproc.h"
#include "utils/tuplestore.h"
}

namespace conveyor {

namespace {

struct Names {
  char** items;
  bool* met;
  int count;
};

struct Rows {
  Tuplestorestate* store;
  TupleDesc shape;
};

enum RowColumn { kKind, kObject, kRelation, kColumns, kDocuments, kPlace, kReason, kRowColumns };

struct Row {
  const char* kind;
  const char* object;
  Oid relation;
  List* columns;  // String *
  const char* documents;
  const char* place;
  const char* reason;
};

Datum name_array(List* names) {
  auto* items = static_cast<Datum*>(palloc(sizeof(Datum) * (list_length(names) + 1)));
  int count = 0;
  ListCell* cell;
  foreach (cell, names) items[count++] = CStringGetTextDatum(strVal(static_cast<Node*>(lfirst(cell))));
  return PointerGetDatum(construct_array(items, count, TEXTOID, -1, false, TYPALIGN_INT));
}

void put(const Rows* rows, const Row& row) {
  std::array<Datum, kRowColumns> values = {};
  std::array<bool, kRowColumns> nulls;
  nulls.fill(true);
  auto text = [&](RowColumn column, const char* value) {
    if (value == nullptr) return;
    values[column] = CStringGetTextDatum(value);
    nulls[column] = false;
  };
  text(kKind, row.kind);
  text(kObject, row.object);
  text(kDocuments, row.documents);
  text(kPlace, row.place);
  text(kReason, row.reason);
  if (OidIsValid(row.relation)) values[kRelation] = ObjectIdGetDatum(row.relation), nulls[kRelation] = false;
  if (row.columns != NIL) values[kColumns] = name_array(row.columns), nulls[kColumns] = false;
  tuplestore_putvalues(rows->store, rows->shape, values.data(), nulls.data());
}

// ---- What is ignored ----

bool is_named(const Names& names, const char* name) {
  bool met = false;
  for (int i = 0; i < names.count; i++)
    if (pg_strcasecmp(names.items[i], name) == 0) met = names.met[i] = true;
  return met;
}

// By the name alone, with its schema, a function also with its arguments.
bool is_ignored(const Names& ignore, const Problem& problem) {
  if (is_named(ignore, problem.object)) return true;
  if (OidIsValid(problem.relation)) {
    return is_named(ignore, relation_name(problem.relation)) || is_named(ignore, get_rel_name(problem.relation));
  }
  if (!OidIsValid(problem.function)) return false;
  const char* name = get_func_name(problem.function);
  const char* schema = get_namespace_name(get_func_namespace(problem.function));
  return is_named(ignore, name) || is_named(ignore, psprintf("%s.%s", schema, name)) ||
         is_named(ignore, format_procedure_qualified(problem.function));
}

bool is_relation_ignored(const Names& ignore, Oid relation) {
  return is_ignored(ignore, {relation_name(relation), relation, InvalidOid, nullptr, nullptr});
}

// ---- Relations ----

// All columns that the view uses of a table, wherever it stands; all there are where it is not looked into. Where only
// the rows count and no column, the first stands for them.
void used_columns(const Tree* tree, Oid relation, List** columns, List** numbers) {
  Bitmapset* used = nullptr;
  bool met = false;
  bool whole = false;
  ListCell* cell;
  foreach (cell, tree->occurrences) {
    const auto* occurrence = static_cast<Occurrence*>(lfirst(cell));
    if (occurrence->relation != relation) continue;
    met = true;
    used = bms_add_members(used, occurrence->columns);
    whole = whole || occurrence->whole;
  }
  whole = whole || !met;
  Relation table = relation_open(relation, AccessShareLock);
  TupleDesc shape = RelationGetDescr(table);
  for (int i = 0; i < shape->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(shape, i);
    if (column->attisdropped || column->attgenerated == 'v') continue;
    if (!whole && !bms_is_empty(used) && !bms_is_member(i + 1, used)) continue;
    *columns = lappend(*columns, makeString(pstrdup(NameStr(column->attname))));
    *numbers = lappend_int(*numbers, i + 1);
    if (!whole && bms_is_empty(used)) break;
  }
  relation_close(table, NoLock);
}

const char* occurrence_place(const Occurrence* occurrence) { return place_of(occurrence->block); }

// Every way from the table to documents; NULL where one of them is missing, which is a problem.
const char* documents_of(Tree* tree, Oid relation, const AttrNumber* key, int keys, List* columns, List* numbers) {
  List* texts = NIL;
  bool complete = true;
  ListCell* cell;
  foreach (cell, tree->occurrences) {
    const auto* occurrence = static_cast<Occurrence*>(lfirst(cell));
    if (occurrence->relation != relation) continue;
    Followed followed = follow(tree, occurrence, key, keys, columns, numbers);
    if (followed.failure != nullptr) {
      add_problem(tree,
                  {relation_name(relation), relation, InvalidOid, occurrence_place(occurrence), followed.failure});
      complete = false;
    }
    ListCell* text;
    foreach (text, followed.texts) {
      bool known = false;
      ListCell* other;
      foreach (other, texts)
        known = known || strcmp(static_cast<char*>(lfirst(other)), static_cast<char*>(lfirst(text))) == 0;
      if (!known) texts = lappend(texts, lfirst(text));
    }
  }
  if (!complete || texts == NIL) return nullptr;
  StringInfoData all;
  initStringInfo(&all);
  foreach (cell, texts)
    appendStringInfo(&all, "%s%s", all.len > 0 ? "\nUNION ALL\n" : "", static_cast<char*>(lfirst(cell)));
  return all.data;
}

void follow_relations(Tree* tree, const Rows* rows, const Names& ignore, const AttrNumber* key, int keys) {
  List* done = NIL;
  ListCell* cell;
  foreach (cell, tree->occurrences) {
    Oid relation = static_cast<Occurrence*>(lfirst(cell))->relation;
    if (list_member_oid(done, relation)) continue;
    done = lappend_oid(done, relation);
    if (is_relation_ignored(ignore, relation)) {
      put(rows, {"ignored", relation_name(relation), relation, NIL, nullptr, nullptr, nullptr});
      continue;
    }
    if (const char* obstacle = capture_obstacle(relation); obstacle != nullptr) {
      add_problem(tree, {relation_name(relation), relation, InvalidOid,
                         occurrence_place(static_cast<Occurrence*>(lfirst(cell))), obstacle});
      continue;
    }
    List* columns = NIL;
    List* numbers = NIL;
    used_columns(tree, relation, &columns, &numbers);
    const char* documents = documents_of(tree, relation, key, keys, columns, numbers);
    if (documents != nullptr) put(rows, {"watch", nullptr, relation, columns, documents, nullptr, nullptr});
  }
}

void put_problems(const Tree* tree, const Rows* rows, const Names& ignore) {
  ListCell* cell;
  foreach (cell, tree->problems) {
    const auto* problem = static_cast<Problem*>(lfirst(cell));
    List* columns = NIL;
    List* numbers = NIL;
    if (OidIsValid(problem->relation)) used_columns(tree, problem->relation, &columns, &numbers);
    put(rows, {is_ignored(ignore, *problem) ? "ignored" : "problem", problem->object, problem->relation, columns,
               nullptr, problem->place, problem->reason});
  }
}

AttrNumber* key_columns(Relation view, char** names, int count) {
  auto* columns = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * (count + 1)));
  for (int i = 0; i < count; i++) {
    columns[i] = get_attnum(RelationGetRelid(view), names[i]);
    if (columns[i] <= 0)
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                      errmsg("\"%s\" has no column \"%s\"", RelationGetRelationName(view), names[i])));
  }
  return columns;
}

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(follow_view) {
  using namespace conveyor;
  for (int i = 0; i < 3; i++)
    if (PG_ARGISNULL(i))
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("view, key and ignore must not be null")));
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Rows rows = {result->setResult, result->setDesc};
  int keys;
  char** key = key_arguments(fcinfo, 1, &keys);
  Names ignore;
  ignore.items = key_arguments(fcinfo, 2, &ignore.count);
  ignore.met = static_cast<bool*>(palloc0(sizeof(bool) * (ignore.count + 1)));

  // What is written down must mean the same whoever reads it: names qualified, constants in their plainest form.
  int level = settings_enter_pinned();
  set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  Relation view = relation_open(PG_GETARG_OID(0), AccessShareLock);
  Tree* tree = read_tree(view);
  follow_relations(tree, &rows, ignore, key_columns(view, key, keys), keys);
  put_problems(tree, &rows, ignore);
  for (int i = 0; i < ignore.count; i++)
    if (!ignore.met[i]) put(&rows, {"unused", ignore.items[i], InvalidOid, NIL, nullptr, nullptr, nullptr});
  relation_close(view, NoLock);
  settings_leave(level);
  return static_cast<Datum>(0);
}
