#include <gtest/gtest.h>

#include "verify/verify_text.hpp"

namespace conveyor {
namespace {

VerifyProgress comparing(std::int64_t documents, std::int64_t total, std::int64_t now, double seconds) {
  VerifyProgress progress;
  progress.phase = "compare";
  progress.documents = documents;
  progress.total = total;
  progress.documents_now = now;
  progress.seconds = seconds;
  return progress;
}

TEST(VerifyText, GroupsDigits) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-123456), "-123,456");
}

TEST(VerifyText, TellsPaceAndTimeLeftOfThisRunOnly) {
  EXPECT_EQ(progress_text(comparing(600'000, 1'000'000, 200'000, 2)),
            "compared 600,000 of about 1,000,000 documents (60.0 %), 100,000/s, 4 s left");
}

TEST(VerifyText, TellsNothingThatIsNotKnown) {
  EXPECT_EQ(progress_text(comparing(0, 1'000'000, 0, 0.1)), "compared 0 of about 1,000,000 documents (0.0 %)");
  EXPECT_EQ(progress_text(comparing(500, -1, 500, 10)), "compared 500 documents, 50/s");
  // An estimate that has been passed says nothing.
  EXPECT_EQ(progress_text(comparing(500, 400, 500, 10)), "compared 500 documents, 50/s");
}

TEST(VerifyText, SumsUp) {
  VerifyProgress progress = comparing(1'000'000, 1'000'000, 1, 1);
  EXPECT_EQ(verdict_text("d", progress, {}), "delivery \"d\": 1,000,000 documents compared: equal");
  EXPECT_EQ(verdict_text("d", progress, {3, 0, 2, 5}),
            "delivery \"d\": 1,000,000 documents compared: 3 missing, 2 different, 5 of them repaired");
  progress.moving = 1;
  EXPECT_EQ(verdict_text("d", progress, {}),
            "delivery \"d\": 1,000,000 documents compared: equal (1 changed too often to be compared)");
}

TEST(VerifyText, ADifferenceIsOneLine) {
  EXPECT_EQ(difference_text({1, "a\nb", "missing", "", 0, false}), "missing\ta\\u000ab");
  EXPECT_EQ(difference_text({1, "k", "different", "dead letter: x", 7, false}), "different\tk\tdead letter: x");
  EXPECT_EQ(difference_text({1, "k", "extra", "", 7, true}), "extra\tk\trepaired");
}

}  // namespace
}  // namespace conveyor
