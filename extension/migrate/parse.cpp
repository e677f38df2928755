#include "migrate/parse.hpp"

#include "analyse/select.hpp"

#include "analyse/walker.hpp"

extern "C" {
#include "parser/parser.h"
}

namespace conveyor::migrate {

namespace {

bool finds_parameter(Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, ParamRef)) return true;
  return raw_expression_tree_walker(node, as_walker(finds_parameter), context);
}

const WithClause* with_of(const Node* statement) {
  switch (nodeTag(statement)) {
    case T_InsertStmt:
      return reinterpret_cast<const InsertStmt*>(statement)->withClause;
    case T_UpdateStmt:
      return reinterpret_cast<const UpdateStmt*>(statement)->withClause;
    case T_DeleteStmt:
      return reinterpret_cast<const DeleteStmt*>(statement)->withClause;
    case T_MergeStmt:
      return reinterpret_cast<const MergeStmt*>(statement)->withClause;
    case T_SelectStmt:
      return reinterpret_cast<const SelectStmt*>(statement)->withClause;
    default:
      return nullptr;
  }
}

bool can_follow_with(const Node* statement) {
  switch (nodeTag(statement)) {
    case T_InsertStmt:
    case T_UpdateStmt:
    case T_DeleteStmt:
    case T_MergeStmt:
      return true;
    case T_SelectStmt:
      return reinterpret_cast<const SelectStmt*>(statement)->intoClause == nullptr;
    default:
      return false;
  }
}

// A list of the same name would hide ours, from the whole statement or from a part of it.
void require_free_name(const Node* statement, const char* what, const char* relation) {
  const WithClause* with = with_of(statement);
  if (with == nullptr) return;
  ListCell* cell;
  foreach (cell, with->ctes)
    if (strcmp(lfirst_node(CommonTableExpr, cell)->ctename, relation) == 0)
      ereport(ERROR, (errcode(ERRCODE_DUPLICATE_ALIAS), errmsg("%s defines \"%s\" itself", what, relation),
                      errdetail("\"%s\" is what the batch's rows are called.", relation),
                      errhint("Give another name to what stands in its WITH.")));
}

}  // namespace

const char* example_of(const char* relation) {
  return strcmp(relation, "gone") == 0
             ? "For example: DELETE FROM shop.orders o USING gone WHERE gone.id = o.id"
             : "For example: INSERT INTO shop.orders (id, total) SELECT id, amount FROM batch";
}

RawStmt* parse_statement(const char* text, const char* what, const char* relation) {
  List* statements = parse_placed(text);
  if (list_length(statements) != 1)
    ereport(ERROR,
            (errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s must be one statement, not %d", what, list_length(statements)),
             errdetail("A batch is one statement and commits with its checkpoint."),
             errhint("Put several into a function and give it as the job's call, or join them by WITH.")));
  RawStmt* raw = linitial_node(RawStmt, statements);
  if (!can_follow_with(raw->stmt))
    ereport(ERROR,
            (errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s must be an INSERT, UPDATE, DELETE, MERGE or SELECT", what),
             errdetail("It is repeated for every batch, so it cannot create, alter, call or commit anything."),
             errhint("%s", example_of(relation))));
  if (finds_parameter(raw->stmt, nullptr))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_PARAMETER), errmsg("%s cannot have parameters", what),
                    errhint("Rows come from the relation %s; write constants into the statement.", relation)));
  require_free_name(raw->stmt, what, relation);
  return raw;
}

int with_place(const char* text) {
  List* statements = raw_parser(text, RAW_PARSE_DEFAULT);
  const WithClause* with = with_of(linitial_node(RawStmt, statements)->stmt);
  return with == nullptr ? -1 : linitial_node(CommonTableExpr, with->ctes)->location;
}

void require_expression(const char* text, const char* what) {
  List* statements = raw_parser(psprintf("SELECT\n%s\n", text), RAW_PARSE_DEFAULT);
  const SelectStmt* select = list_length(statements) == 1 && IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt)
                                 ? reinterpret_cast<const SelectStmt*>(linitial_node(RawStmt, statements)->stmt)
                                 : nullptr;
  bool plain = select != nullptr && list_length(select->targetList) == 1 && select->fromClause == NIL &&
               select->whereClause == nullptr && select->groupClause == NIL && select->havingClause == nullptr &&
               select->windowClause == NIL && select->sortClause == NIL && select->limitOffset == nullptr &&
               select->limitCount == nullptr && select->lockingClause == NIL && select->op == SETOP_NONE &&
               select->valuesLists == NIL && select->distinctClause == NIL && select->intoClause == nullptr &&
               linitial_node(ResTarget, select->targetList)->name == nullptr;
  if (!plain)
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s must be one expression", what),
                    errhint("For example: status <> 'cancelled'")));
  if (finds_parameter(reinterpret_cast<Node*>(const_cast<SelectStmt*>(select)), nullptr))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_PARAMETER), errmsg("%s cannot have parameters", what),
                    errhint("Write constants into it.")));
}

}  // namespace conveyor::migrate
