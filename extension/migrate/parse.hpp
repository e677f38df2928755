// What the server's grammar says about a text that a user gave.
#pragma once

#include "compat.hpp"

namespace conveyor::migrate {

// The statement of a job, parsed: one INSERT, UPDATE, DELETE, MERGE or SELECT without parameters; else an error.
// `what` names it in messages: "statement of a job". `relation` is what it reads.
RawStmt* parse_statement(const char* text, const char* what, const char* relation);

// A hint: how a statement that reads `relation` may look.
const char* example_of(const char* relation);

// Where the first entry of the statement's own WITH list begins, in bytes; -1 where it has none.
int with_place(const char* text);

// An error where the text is not one expression: it is to stand in parentheses, and must not end them.
void require_expression(const char* text, const char* what);

}  // namespace conveyor::migrate
