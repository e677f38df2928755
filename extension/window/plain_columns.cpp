#include "window/watches.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "parser/parser.h"
}

namespace conveyor {

namespace {

const char* name_of(void* node) { return strVal(static_cast<Node*>(node)); }

// A column of `relation`, by its bare or its qualified name; NULL for anything else.
const char* column_name(ResTarget* target, const char* relation) {
  if (target->indirection != NIL || !IsA(target->val, ColumnRef)) return nullptr;
  List* fields = reinterpret_cast<ColumnRef*>(target->val)->fields;
  for (int i = 0; i < list_length(fields); i++)
    if (!IsA(list_nth(fields, i), String)) return nullptr;
  if (list_length(fields) == 1) return name_of(linitial(fields));
  if (list_length(fields) == 2 && strcmp(name_of(linitial(fields)), relation) == 0) return name_of(lsecond(fields));
  return nullptr;
}

bool only_selects(const SelectStmt* select) {
  return select->op == SETOP_NONE && select->intoClause == nullptr && select->valuesLists == NIL &&
         select->whereClause == nullptr && select->groupClause == NIL && select->havingClause == nullptr &&
         select->windowClause == NIL && select->limitOffset == nullptr && select->limitCount == nullptr &&
         select->lockingClause == NIL && select->withClause == nullptr && list_length(select->fromClause) == 1;
}

}  // namespace

int* plain_columns(const char* documents, char** names, int count, int wanted) {
  List* statements = raw_parser(documents, RAW_PARSE_DEFAULT);
  if (list_length(statements) != 1) return nullptr;
  Node* node = linitial_node(RawStmt, statements)->stmt;
  if (!IsA(node, SelectStmt)) return nullptr;
  SelectStmt* select = reinterpret_cast<SelectStmt*>(node);
  if (!only_selects(select) || !IsA(linitial(select->fromClause), RangeVar)) return nullptr;
  RangeVar* from = linitial_node(RangeVar, select->fromClause);
  if (from->schemaname != nullptr || strcmp(from->relname, "changed") != 0) return nullptr;
  if (from->alias != nullptr && from->alias->colnames != NIL) return nullptr;
  if (list_length(select->targetList) != wanted) return nullptr;

  const char* relation = from->alias != nullptr ? from->alias->aliasname : from->relname;
  int* columns = static_cast<int*>(palloc(sizeof(int) * wanted));
  for (int i = 0; i < wanted; i++) {
    const char* name = column_name(list_nth_node(ResTarget, select->targetList, i), relation);
    if (name == nullptr) return nullptr;
    columns[i] = 0;
    while (columns[i] < count && strcmp(names[columns[i]], name) != 0) columns[i]++;
    if (columns[i] == count) return nullptr;
  }
  return columns;
}

}  // namespace conveyor
