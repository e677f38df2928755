#include "decide/outcome.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace conveyor {
namespace {

using enum Outcome;

struct Case {
  int status;
  std::string_view type;
  Outcome outcome, alone;
};

TEST(ItemOutcome, EachKnownAnswerOfTheServersHasItsMeaning) {
  const std::vector<Case> cases = {
      {200, "", done, done},
      {201, "", done, done},
      {409, "version_conflict_engine_exception", superseded, superseded},
      {404, "index_not_found_exception", hold, hold},
      {400, "index_closed_exception", hold, hold},
      {401, "security_exception", hold, hold},
      {403, "security_exception", hold, hold},
      {403, "cluster_block_exception", hold, hold},
      {429, "cluster_block_exception", hold, hold},
      {400, "mapper_parsing_exception", dead_letter, dead_letter},
      {400, "document_parsing_exception", dead_letter, dead_letter},
      {400, "strict_dynamic_mapping_exception", dead_letter, dead_letter},
      {400, "illegal_argument_exception", dead_letter, dead_letter},
      {400, "action_request_validation_exception", shrink, dead_letter},
      {400, "never_heard_of_exception", shrink, dead_letter},
      {413, "", shrink, dead_letter},
      {429, "rejected_execution_exception", slow_down, slow_down},
      {429, "es_rejected_execution_exception", slow_down, slow_down},
      {429, "circuit_breaking_exception", slow_down, slow_down},
      {503, "es_rejected_execution_exception", slow_down, slow_down},
      {503, "unavailable_shards_exception", retry, retry},
      {500, "", retry, retry},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(item_outcome(c.status, c.type, false, false), c.outcome) << c.status << ' ' << c.type;
    EXPECT_EQ(item_outcome(c.status, c.type, false, true), c.alone) << c.status << ' ' << c.type << " alone";
  }
}

TEST(ItemOutcome, DeletingWhatIsNotThereIsDoneButIndexingNeverIs) {
  EXPECT_EQ(item_outcome(404, "", true, false), done);
  EXPECT_EQ(item_outcome(404, "", false, false), retry);
  EXPECT_EQ(item_outcome(404, "index_not_found_exception", true, false), hold);
}

TEST(ItemOutcome, AConflictOfAnotherKindIsNotTakenForANewerVersion) {
  EXPECT_EQ(item_outcome(409, "", false, false), retry);
  EXPECT_EQ(item_outcome(409, "resource_already_exists_exception", false, false), retry);
}

TEST(RequestOutcome, EachKnownAnswerOfTheServersHasItsMeaning) {
  const std::vector<Case> cases = {
      {400, "illegal_argument_exception", shrink, dead_letter},
      {400, "action_request_validation_exception", shrink, dead_letter},
      {400, "", retry, retry},
      {401, "", hold, hold},
      {401, "security_exception", hold, hold},
      {403, "cluster_block_exception", hold, hold},
      {404, "index_not_found_exception", hold, hold},
      {404, "", retry, retry},
      {406, "", hold, hold},
      {413, "", shrink, dead_letter},
      {429, "rejected_execution_exception", slow_down, slow_down},
      {429, "circuit_breaking_exception", slow_down, slow_down},
      {429, "", slow_down, slow_down},
      {500, "illegal_argument_exception", retry, retry},
      {502, "", retry, retry},
      {503, "cluster_block_exception", retry, retry},
      {301, "", retry, retry},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(request_outcome(c.status, c.type, false), c.outcome) << c.status << ' ' << c.type;
    EXPECT_EQ(request_outcome(c.status, c.type, true), c.alone) << c.status << ' ' << c.type << " alone";
  }
}

TEST(Outcome, NothingUnknownIsEverDoneOrGivenUp) {
  for (int status = 0; status < 1000; ++status) {
    const Outcome item = item_outcome(status, "never_heard_of_exception", false, true);
    const Outcome request = request_outcome(status, "never_heard_of_exception", false);
    EXPECT_FALSE(settled(item)) << status;
    EXPECT_FALSE(settled(request)) << status;
    EXPECT_NE(request, dead_letter) << status;
    if (status != 400 && status != 413) {
      EXPECT_NE(item, dead_letter) << status;
    }
  }
}

TEST(Outcome, AGatewayThatGaveUpWaitingMayStillHavePassedTheRequestOn) {
  EXPECT_TRUE(applied_later(504, ""));
  EXPECT_TRUE(applied_later(502, ""));
  EXPECT_TRUE(applied_later(408, ""));
  EXPECT_TRUE(applied_later(200, ""));
  EXPECT_FALSE(applied_later(503, "unavailable_shards_exception"));
  EXPECT_FALSE(applied_later(429, ""));
  EXPECT_FALSE(applied_later(400, "x"));
}

}  // namespace
}  // namespace conveyor
