#include "decide/download_plan.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

using Verdict = DownloadPlan::Verdict;

AnswerHead whole(std::uint64_t length, std::string etag = "\"a\"") { return {200, length, std::move(etag), {}}; }
AnswerHead part(const std::string& range, std::string etag = "\"a\"") { return {206, {}, std::move(etag), range}; }

// What of these bytes is new; "(other)" where they are not what they were.
std::string news(DownloadPlan& plan, std::string_view bytes) {
  std::string_view fresh;
  return plan.body(bytes, fresh) ? std::string(fresh) : "(other)";
}

// Has read "abc" of "abcdef" when the connection is cut.
struct Cut : DownloadPlan {
  explicit Cut(const AnswerHead& first = whole(6)) {
    EXPECT_EQ(head(first), Verdict::read);
    EXPECT_EQ(news(*this, "abc"), "abc");
    EXPECT_EQ(ended(false), Verdict::again);
  }
};

TEST(DownloadPlan, AsksForAllAtFirst) {
  DownloadPlan plan;
  EXPECT_EQ(plan.next().from, 0u);
  EXPECT_EQ(plan.head(whole(3)), Verdict::read);
  EXPECT_EQ(news(plan, "abc"), "abc");
  EXPECT_EQ(plan.ended(true), Verdict::complete);
}

TEST(DownloadPlan, GoesOnWhereItWasCut) {
  Cut plan;
  EXPECT_EQ(plan.next().from, 3u);
  EXPECT_EQ(plan.next().if_range, "\"a\"");
  EXPECT_EQ(plan.head(part("bytes 3-5/6")), Verdict::read);
  EXPECT_EQ(news(plan, "d"), "d");
  EXPECT_EQ(plan.ended(false), Verdict::again);
  EXPECT_EQ(plan.next().from, 4u);
  EXPECT_EQ(plan.head(part("bytes 4-5/*")), Verdict::read);
  EXPECT_EQ(news(plan, "ef"), "ef");
  EXPECT_EQ(plan.ended(true), Verdict::complete);
}

TEST(DownloadPlan, SkipsWhatAServerWithoutRangesSendsAgain) {
  Cut plan;
  EXPECT_EQ(plan.head(whole(6)), Verdict::read);
  EXPECT_EQ(news(plan, "ab"), "");
  EXPECT_EQ(news(plan, "cd"), "d");
  EXPECT_EQ(news(plan, "ef"), "ef");
  EXPECT_EQ(plan.ended(true), Verdict::complete);
}

TEST(DownloadPlan, NoticesThatWhatIsSentAgainIsSomethingElse) {
  Cut without(whole(6, ""));
  EXPECT_EQ(without.head(whole(6, "")), Verdict::read);
  EXPECT_EQ(news(without, "abX"), "(other)");
  EXPECT_NE(without.problem().find("changed"), std::string::npos);
}

TEST(DownloadPlan, NoticesAnotherFileByItsHead) {
  EXPECT_EQ(Cut().head(whole(6, "\"b\"")), Verdict::failed);
  EXPECT_EQ(Cut().head(whole(7, "")), Verdict::failed);
  EXPECT_EQ(Cut().head(part("bytes 3-5/6", "\"b\"")), Verdict::failed);
  EXPECT_EQ(Cut().head(part("bytes 3-6/7")), Verdict::failed);
}

TEST(DownloadPlan, NoticesAShorterFile) {
  Cut plan(AnswerHead{200, {}, "", ""});
  EXPECT_EQ(plan.head({200, {}, "", ""}), Verdict::read);
  EXPECT_EQ(news(plan, "ab"), "");
  EXPECT_EQ(plan.ended(true), Verdict::failed);
}

TEST(DownloadPlan, DoesNotTakeAnotherRangeThanItAskedFor) {
  for (const char* range : {"bytes 0-5/6", "bytes 2-5/6", "bytes 4-5/6", "bytes */6", "items 3-5/6", "", "bytes 3-5"})
    EXPECT_EQ(Cut().head(part(range)), Verdict::failed) << range;
  DownloadPlan unasked;
  EXPECT_EQ(unasked.head(part("bytes 0-5/6")), Verdict::failed);
}

TEST(DownloadPlan, WithoutAStrongTagAsksForAllAgain) {
  EXPECT_EQ(Cut(whole(6, "")).next().from, 0u);
  EXPECT_EQ(Cut(whole(6, "W/\"a\"")).next().from, 0u);
}

TEST(DownloadPlan, KnowsThatNothingIsLeft) {
  Cut plan;
  EXPECT_EQ(plan.head({416, {}, "", "bytes */3"}), Verdict::complete);
  EXPECT_EQ(Cut().head({416, {}, "", "bytes */2"}), Verdict::failed);
  EXPECT_EQ(Cut().head({416, {}, "", ""}), Verdict::failed);
  DownloadPlan last;
  last.head(whole(3));
  news(last, "abc");
  EXPECT_EQ(last.ended(false), Verdict::complete) << "the cut came behind the last byte";
}

TEST(DownloadPlan, TellsWhatMayPassFromWhatDoesNot) {
  for (const int status : {408, 429, 500, 502, 503, 504})
    EXPECT_EQ(DownloadPlan().head({status, {}, "", ""}), Verdict::again) << status;
  for (const int status : {301, 400, 401, 403, 404, 410, 501})
    EXPECT_EQ(DownloadPlan().head({status, {}, "", ""}), Verdict::failed) << status;
  Cut expired;
  EXPECT_EQ(expired.head({403, {}, "", ""}), Verdict::failed);
  EXPECT_NE(expired.problem().find("expired"), std::string::npos);
}

TEST(DownloadPlan, CountsAttemptsThatBringNothing) {
  Cut plan;
  EXPECT_EQ(plan.fruitless(), 0);
  plan.ended(false);  // no connection
  plan.head({503, {}, "", ""});
  plan.head(part("bytes 3-5/6"));
  plan.ended(false);
  EXPECT_EQ(plan.fruitless(), 3);
  plan.head(part("bytes 3-5/6"));
  news(plan, "d");
  plan.ended(false);
  EXPECT_EQ(plan.fruitless(), 0);
}

}  // namespace
}  // namespace conveyor
