// A text that somebody gave, which must be one SELECT.
#pragma once

#include "compat.hpp"

namespace conveyor {

// The text's statements. Positions in errors are marked as positions in `text`, not in the statement that called us.
List* parse_placed(const char* text);

// The only statement of the text, a SELECT without INTO; else an error. `what` names the text in messages ("target
// query"), `example` is their hint.
RawStmt* only_select(const char* text, const char* what, const char* example);

// Analysed in the search path of the moment. Positions in errors are marked as positions in `text`, not in the
// statement that called us.
Query* analyse_select(RawStmt* raw, const char* text);

// The statement without what comes behind it: to stand in parentheses.
char* statement_text(const RawStmt* raw, const char* text);

}  // namespace conveyor
