#include "migrate/failure.hpp"

#include <gtest/gtest.h>

namespace conveyor::migrate {
namespace {

TEST(FailureOfABatch, PassesWhereOthersWereInItsWay) {
  for (const char* sqlstate : {"40001", "40P01", "55P03", "57014", "55006", "08006"})
    EXPECT_EQ(classify(sqlstate), Failure::transient) << sqlstate;
}

TEST(FailureOfABatch, IsTheDatasWhereARowIsAtFault) {
  for (const char* sqlstate : {"22012", "22P02", "23505", "23503", "23514", "21000", "44000", "54000"})
    EXPECT_EQ(classify(sqlstate), Failure::data) << sqlstate;
}

TEST(FailureOfABatch, IsTheDatasWhereAFunctionRaisesAnErrorOfItsOwn) {
  for (const char* sqlstate : {"P0001", "P0002", "SH001", "38000"})
    EXPECT_EQ(classify(sqlstate), Failure::data) << sqlstate;
}

TEST(FailureOfABatch, StopsTheJobWhereNoBatchCanSucceed) {
  for (const char* sqlstate : {"53100", "53200", "42P01", "42501", "42883", "28000", "2D000", "25006", "0A000", "3F000",
                               "58030", "XX000", "57P01", "55000"})
    EXPECT_EQ(classify(sqlstate), Failure::fatal) << sqlstate;
}

TEST(FailureOfABatch, SaysWhatToDoAboutADiskThatIsFull) { EXPECT_EQ(remedy("53100"), "Make room on the disk."); }

TEST(FailureOfABatch, SaysNothingWhereNothingGeneralCanBeSaid) {
  EXPECT_EQ(remedy("22012"), "");
  EXPECT_EQ(remedy("40001"), "");
}

}  // namespace
}  // namespace conveyor::migrate
