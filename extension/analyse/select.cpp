#include "analyse/select.hpp"

extern "C" {
#include "parser/analyze.h"
#include "parser/parser.h"
}

namespace conveyor {

namespace {

void place_error(void* text) {
  int position = geterrposition();
  if (position <= 0) return;
  errposition(0);
  internalerrposition(position);
  internalerrquery(static_cast<const char*>(text));
}

ErrorContextCallback placing(const char* text) { return {error_context_stack, place_error, const_cast<char*>(text)}; }

}  // namespace

List* parse_placed(const char* text) {
  ErrorContextCallback callback = placing(text);
  error_context_stack = &callback;
  List* statements = raw_parser(text, RAW_PARSE_DEFAULT);
  error_context_stack = callback.previous;
  return statements;
}

RawStmt* only_select(const char* text, const char* what, const char* example) {
  List* statements = parse_placed(text);
  if (list_length(statements) != 1)
    ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR),
            errmsg("%s must be one statement, not %d", what, list_length(statements)), errhint("%s", example));
  RawStmt* raw = linitial_node(RawStmt, statements);
  if (!IsA(raw->stmt, SelectStmt) || reinterpret_cast<SelectStmt*>(raw->stmt)->intoClause != nullptr)
    ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR), errmsg("%s must be a SELECT", what), errhint("%s", example));
  return raw;
}

Query* analyse_select(RawStmt* raw, const char* text) {
  ErrorContextCallback callback = placing(text);
  error_context_stack = &callback;
  Query* query = parse_analyze_fixedparams(raw, text, nullptr, 0, nullptr);
  error_context_stack = callback.previous;
  return query;
}

char* statement_text(const RawStmt* raw, const char* text) {
  const char* begin = text + raw->stmt_location;
  return raw->stmt_len == 0 ? pstrdup(begin) : pnstrdup(begin, raw->stmt_len);
}

}  // namespace conveyor
