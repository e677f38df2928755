// What the guard needs to know of a plan, apart from the server's trees, so that what it concludes can be tested
// without a server.
//
// A plan is an array of nodes in the order of EXPLAIN: parents before children, outer before inner. Texts belong to
// whoever made the plan.
#pragma once

#include <span>
#include <string_view>

namespace conveyor {

// How a node hangs on its parent.
enum class Place {
  member,     // its only input, or one of an Append's
  outer,      // of a join
  inner,      // of a join that is no nested loop
  repeated,   // inner side of a nested loop: once a row of the outer side
  subselect,  // evaluated for each row of the parent
  once,       // initplan, CTE or hashed sub-select
};

// What a node does with the relation, CTE or function that it reads.
enum class Reads {
  nothing,     // reads none
  chosen,      // rows that an index, or the parameters of a function, have chosen
  everything,  // all of it, each time
};

struct PlanNode {
  std::string_view label;     // as EXPLAIN names it: Seq Scan
  std::string_view relation;  // what it reads, as SQL names it; of a node that keeps rows: what it keeps
  std::string_view advice;    // what would help, where that is known: CREATE INDEX ON shop.price (sku)
  int parent = -1;            // -1: the root
  Place place = Place::member;
  Reads reads = Reads::nothing;
  int input = -1;            // CTE Scan: the root of the CTE's plan
  bool source = false;       // reads the job's source
  bool keeps = false;        // keeps its input's rows and gives them again without reading them again
  double expected_rows = 0;  // the planner's, an execution
  double expected_read = 0;  // the planner's, an execution: rows read, whether they were of use or not
};

// What a node has done, or is expected to do, in one batch.
struct NodeWork {
  double loops = 0;         // executions
  double rows = 0;          // given to the parent, over all loops
  double filtered = 0;      // read and thrown away, over all loops
  double milliseconds = 0;  // with its inputs, over all loops; 0: not measured
};

struct Statement {
  std::string_view place;  // where it stands: PL/pgSQL function reprice(bigint,bigint) line 7 at SQL statement
  double calls = 1;        // in one batch
  std::span<const PlanNode> nodes;
  std::span<const NodeWork> work;  // as many as nodes
};

}  // namespace conveyor
