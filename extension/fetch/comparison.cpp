#include "fetch/comparison.hpp"

namespace conveyor {

void append_comparison(StringInfo sql, const KeyColumn* key, int keys, const char* alias, char** columns, bool greater,
                       bool or_equal, int parameter) {
  auto name = [&](int i) { return quote_identifier(columns != nullptr ? columns[i] : key[i].name); };
  auto strict = [&](int i) { return greater ? key[i].greater : key[i].less; };
  auto lax = [&](int i) { return greater ? key[i].greater_equal : key[i].less_equal; };
  auto op = [&](int i) { return or_equal ? lax(i) : strict(i); };

  bool same = true;
  for (int i = 1; i < keys; i++) same = same && strcmp(op(0), op(i)) == 0;
  if (same) {
    auto list = [&](auto item) {
      if (keys > 1) appendStringInfoString(sql, "ROW(");
      for (int i = 0; i < keys; i++) {
        if (i > 0) appendStringInfoString(sql, ", ");
        item(i);
      }
      if (keys > 1) appendStringInfoChar(sql, ')');
    };
    list([&](int i) { appendStringInfo(sql, "%s.%s", alias, name(i)); });
    appendStringInfo(sql, " %s ", op(0));
    list([&](int i) { appendStringInfo(sql, "$%d", parameter + i); });
    return;
  }
  appendStringInfo(sql, "%s.%s %s $%d AND (", alias, name(0), lax(0), parameter);
  for (int i = 0; i < keys; i++) {
    bool last = i == keys - 1;
    appendStringInfo(sql, "%s.%s %s $%d", alias, name(i), last ? op(i) : strict(i), parameter + i);
    if (!last) appendStringInfo(sql, " OR %s.%s %s $%d AND (", alias, name(i), key[i].equal, parameter + i);
  }
  for (int i = 0; i < keys; i++) appendStringInfoChar(sql, ')');
}

}  // namespace conveyor
