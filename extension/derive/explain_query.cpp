// explain_query(query, parameters, changed, columns, owner, search_path): how a key query, or the reading of documents,
// is carried out, and where it lacks an index.
//
// What the planner does follows from how large tables are today. So it is asked twice: plainly, for people to read, and
// once more with everything dear that does without indexes. What is read as a whole even then has no index to be found
// by.
#include "analyse/changed_shape.hpp"
#include "examine/plan_tree.hpp"
#include "fetch/answer.hpp"
#include "fetch/owner.hpp"

extern "C" {
#include "executor/executor.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/tuplestore.h"
}

namespace conveyor {

namespace {

// `changed` is expected to have some rows, and not many.
constexpr double kChanged = 100;

constexpr const char* kDear[] = {"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_material",
                                 "enable_memoize"};

struct Text {
  const char* sql;
  Oid* types;
  int parameters;
  QueryEnvironment* environment;
};

QueryDesc* start(const Text& text) {
  auto* statement = linitial_node(RawStmt, raw_parser(text.sql, RAW_PARSE_DEFAULT));
  Query* query = parse_analyze_fixedparams(statement, text.sql, text.types, text.parameters, text.environment);
  List* rewritten = pg_rewrite_query(query);
  PlannedStmt* plan = pg_plan_query(linitial_node(Query, rewritten), text.sql, CURSOR_OPT_NO_SCROLL, nullptr);
  // The plan is made for any values; these are there for partitions to be looked up when it is started.
  ParamListInfo values = makeParamList(text.parameters);
  for (int i = 0; i < text.parameters; i++)
    values->params[i] = {PointerGetDatum(construct_empty_array(get_element_type(text.types[i]))), false, 0,
                         text.types[i]};
  QueryDesc* started =
      CreateQueryDesc(plan, text.sql, GetActiveSnapshot(), InvalidSnapshot, None_Receiver, values, text.environment, 0);
  ExecutorStart(started, EXEC_FLAG_EXPLAIN_ONLY);
  return started;
}

void end(QueryDesc* query) {
  ExecutorEnd(query);
  FreeQueryDesc(query);
}

void put(ReturnSetInfo* result, const char* line, bool warning) {
  Datum values[] = {CStringGetTextDatum(line), BoolGetDatum(warning)};
  bool nulls[] = {false, false};
  tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

void put_plan(ReturnSetInfo* result, const Text& text) {
  QueryDesc* query = start(text);
  ExplainState* state = NewExplainState();
  state->costs = false;
  ExplainBeginOutput(state);
  ExplainPrintPlan(state, query);
  ExplainEndOutput(state);
  char* rest = state->str->data;
  while (char* line = strsep(&rest, "\n"))
    if (*line != '\0') put(result, line, false);
  end(query);
}

bool is_scan_of_table(const PlanTree* tree, int node) {
  const Plan* plan = tree->nodes[node].state->plan;
  return IsA(plan, SeqScan) || IsA(plan, IndexScan) || IsA(plan, IndexOnlyScan);
}

void put_warnings(ReturnSetInfo* result, const Text& text) {
  int level = NewGUCNestLevel();
  for (const char* setting : kDear)
    set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  QueryDesc* query = start(text);
  const PlanTree* tree = plan_tree(query);
  const PlanNode* nodes = describe_plan(tree, InvalidOid, false);
  List* told = NIL;
  for (int i = 0; i < tree->count; i++) {
    if (!is_scan_of_table(tree, i) || nodes[i].reads != Reads::everything) continue;
    const char* advice = pnstrdup(nodes[i].advice.data(), nodes[i].advice.size());
    const char* relation = pnstrdup(nodes[i].relation.data(), nodes[i].relation.size());
    const char* line = strncmp(advice, "CREATE INDEX", strlen("CREATE INDEX")) == 0
                           ? psprintf("all of %s is read for want of an index: %s", relation, advice)
                           : psprintf("all of %s is read, and no index would help", relation);
    if (list_member(told, makeString(const_cast<char*>(line)))) continue;
    told = lappend(told, makeString(const_cast<char*>(line)));
    put(result, line, true);
  }
  end(query);
  AtEOXact_GUC(true, level);
}

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(explain_query) {
  using namespace conveyor;
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Text asked = {text_to_cstring(PG_GETARG_TEXT_PP(0)), nullptr, 0, create_queryEnv()};
  Datum* types;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), OIDOID, sizeof(Oid), true, TYPALIGN_INT, &types, nullptr,
                    &asked.parameters);
  asked.types = static_cast<Oid*>(palloc(sizeof(Oid) * (asked.parameters + 1)));
  for (int i = 0; i < asked.parameters; i++) asked.types[i] = DatumGetObjectId(types[i]);
  if (!PG_ARGISNULL(2)) {
    int count;
    char** columns = key_arguments(fcinfo, 3, &count);
    asked.environment = environment_with_changed(shape_of_changed(PG_GETARG_OID(2), columns, count), kChanged);
  }
  Scope scope = scope_enter_owner(PG_GETARG_OID(4), text_to_cstring(PG_GETARG_TEXT_PP(5)));
  put_plan(result, asked);
  put_warnings(result, asked);
  scope_leave(&scope);
  return static_cast<Datum>(0);
}
