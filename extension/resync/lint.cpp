// examine_key_query(query, delivery, search_path, trial): everything that speaks against a query, as rows.
#include "fetch/owner.hpp"
#include "resync/key_query.hpp"

extern "C" {
#include "utils/resowner.h"
#include "utils/tuplestore.h"
}

namespace conveyor {

namespace {

struct Question {
  const char* text;
  const Feed* feed;
  const char* search_path;
  bool trial;
};

bool has_error(const List* findings) {
  ListCell* cell;
  foreach (cell, findings)
    if (static_cast<Finding*>(lfirst(cell))->error) return true;
  return false;
}

List* examine(const Question* question) {
  Scope scope = scope_enter_caller(question->search_path);
  KeyQuery query = examine_key_query(question->text, question->feed);
  if (question->trial && !has_error(query.findings)) try_key_query(&query, question->feed);
  scope_leave(&scope);
  return query.findings;
}

// Errors that are the query's own, as opposed to those of a server in trouble and of a session that is told to stop.
bool about_the_query(int sqlstate) {
  int category = ERRCODE_TO_CATEGORY(sqlstate);
  return category != ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) &&
         category != ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) &&
         category != ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR) &&
         category != ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR);
}

Finding* finding_of(const ErrorData* error, const char* text) {
  auto* finding = static_cast<Finding*>(palloc(sizeof(Finding)));
  bool here = error->internalquery != nullptr && strcmp(error->internalquery, text) == 0;
  const char* problem = error->detail == nullptr ? error->message : psprintf("%s (%s)", error->message, error->detail);
  *finding = {true, pstrdup(problem), error->hint == nullptr ? nullptr : pstrdup(error->hint),
              here ? error->internalpos : 0};
  return finding;
}

// What the server refuses is a finding like any other: in a subtransaction, which writes nothing and needs no id.
List* examine_caught(const Question* question) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  List* volatile findings = NIL;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  PG_TRY();
  {
    findings = examine(question);
    ReleaseCurrentSubTransaction();
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    ErrorData* error = CopyErrorData();
    if (!about_the_query(error->sqlerrcode)) PG_RE_THROW();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
    findings = list_make1(finding_of(error, question->text));
  }
  PG_END_TRY();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  return findings;
}

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(examine_key_query) {
  using namespace conveyor;
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Question question = {};
  question.text = text_to_cstring(PG_GETARG_TEXT_PP(0));
  if (!PG_ARGISNULL(1))
    question.feed = feed_lookup(text_to_cstring(PG_GETARG_TEXT_PP(1)), function_owner(fcinfo->flinfo->fn_oid));
  question.search_path = text_to_cstring(PG_GETARG_TEXT_PP(2));
  question.trial = PG_GETARG_BOOL(3);

  List* findings = examine_caught(&question);
  ListCell* cell;
  foreach (cell, findings) {
    const Finding* finding = static_cast<Finding*>(lfirst(cell));
    Datum values[] = {CStringGetTextDatum(finding->error ? "error" : "warning"), CStringGetTextDatum(finding->problem),
                      finding->remedy == nullptr ? static_cast<Datum>(0) : CStringGetTextDatum(finding->remedy),
                      Int32GetDatum(finding->position)};
    bool nulls[] = {false, false, finding->remedy == nullptr, finding->position == 0};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  return static_cast<Datum>(0);
}
