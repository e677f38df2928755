#include "examine/examine_plan.hpp"

#include "examine/expected_work.hpp"
#include "examine/plan_tree.hpp"
#include "examine/warning.hpp"
#include "guard.hpp"

extern "C" {
#include "executor/executor.h"
#include "executor/spi.h"
#include "tcop/dest.h"
#include "utils/plancache.h"
}

namespace conveyor {

namespace {

// The suspects' share of the time is not known before it has passed.
std::string warning_of_plan(std::span<const PlanNode> nodes, double rows) {
  const std::vector<NodeWork> work = expected_work(nodes, rows);
  const Statement statement = {"", 1, nodes, work};
  return warning_of({}, find_suspects({&statement, 1}, rows, 0), {});
}

ParamListInfo parameters_of(const BatchStatement& statement) {
  if (statement.parameters == 0) return nullptr;
  ParamListInfo list = makeParamList(statement.parameters);
  for (int i = 0; i < statement.parameters; ++i) {
    ParamExternData& parameter = list->params[i];
    parameter.value = statement.values[i];
    parameter.isnull = statement.nulls != nullptr && statement.nulls[i] == 'n';
    parameter.pflags = PARAM_FLAG_CONST;
    parameter.ptype = statement.types[i];
  }
  return list;
}

// As EXPLAIN does it: the query is started, and never run.
const char* examine_query(PlannedStmt* plan, const char* text, ParamListInfo parameters, Oid source, double rows,
                          MemoryContext result) {
  QueryDesc* query =
      CreateQueryDesc(plan, text, GetActiveSnapshot(), InvalidSnapshot, None_Receiver, parameters, nullptr, 0);
  ExecutorStart(query, EXEC_FLAG_EXPLAIN_ONLY);
  const PlanTree* tree = plan_tree(query);
  const PlanNode* nodes = describe_plan(tree, source, true);
  const char* warning = entered([&]() -> const char* {
    const std::string warning = warning_of_plan({nodes, static_cast<size_t>(tree->count)}, rows);
    if (warning.empty()) return nullptr;
    return backend([&] { return MemoryContextStrdup(result, warning.c_str()); });
  });
  ExecutorEnd(query);
  FreeQueryDesc(query);
  return warning;
}

}  // namespace

const char* examine_plan(const BatchStatement& statement, Oid source, double rows) {
  MemoryContext result = CurrentMemoryContext;
  const char* warning = nullptr;
  SPI_connect();
  PushActiveSnapshot(GetTransactionSnapshot());
  SPIPlanPtr plan = SPI_prepare_cursor(statement.text, statement.parameters, const_cast<Oid*>(statement.types),
                                       CURSOR_OPT_CUSTOM_PLAN | CURSOR_OPT_PARALLEL_OK);
  if (plan == nullptr)
    ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
            errmsg_internal("could not prepare the statement of a batch: %s", SPI_result_code_string(SPI_result)));
  ParamListInfo parameters = parameters_of(statement);
  ListCell* cell;
  foreach (cell, SPI_plan_get_plan_sources(plan)) {
    auto* source_of_plan = static_cast<CachedPlanSource*>(lfirst(cell));
    CachedPlan* cached = GetCachedPlan(source_of_plan, parameters, nullptr, nullptr);
    ListCell* each;
    foreach (each, cached->stmt_list) {
      auto* planned = static_cast<PlannedStmt*>(lfirst(each));
      if (planned->commandType == CMD_UTILITY || warning != nullptr) continue;
      warning = examine_query(planned, statement.text, parameters, source, rows, result);
    }
    ReleaseCachedPlan(cached, nullptr);
  }
  PopActiveSnapshot();
  SPI_finish();
  return warning;
}

}  // namespace conveyor
