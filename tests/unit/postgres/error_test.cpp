#include "postgres/error.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

TEST(Trouble, IsToldByTheSqlstate) {
  EXPECT_EQ(classify("CV001"), Trouble::lease_lost);
  EXPECT_EQ(classify("CV002"), Trouble::protocol);
  EXPECT_EQ(classify("57014"), Trouble::timeout);
  for (const char* data : {"22012", "23505", "P0001", "21000", "2F005", "XX000", "54001"})
    EXPECT_EQ(classify(data), Trouble::data) << data;
  for (const char* definition : {"42501", "42P01", "42703", "3F000", "0A000"})
    EXPECT_EQ(classify(definition), Trouble::definition) << definition;
  for (const char* transient : {"", "08006", "40001", "40P01", "53200", "57P01", "55P03"})
    EXPECT_EQ(classify(transient), Trouble::transient) << transient;
}

TEST(DatabaseError, TellsALostConnectionFromARefusal) {
  EXPECT_TRUE(DatabaseError("", "gone").connection_lost());
  EXPECT_TRUE(DatabaseError("57P01", "gone").connection_lost());
  EXPECT_FALSE(DatabaseError("40001", "later").connection_lost());
}

TEST(FirstRemedy, IsTheCommandThatMendsWhatIsMissing) {
  EXPECT_EQ(first_remedy("3F000", "conveyor_agent", "ship"), "Run CREATE EXTENSION pg_conveyor in this database.");
  EXPECT_EQ(first_remedy("42501", "conveyor_agent", "ship"), "Run GRANT conveyor_agent TO ship.");
  EXPECT_EQ(first_remedy("42501", "conveyor_reader", "Anna \"A\""), "Run GRANT conveyor_reader TO \"Anna \"\"A\"\"\".");
  EXPECT_NE(first_remedy("42883", "conveyor_agent", "ship").find("ALTER EXTENSION"), std::string::npos);
  EXPECT_EQ(first_remedy("53300", "conveyor_agent", "ship"), "");
}

}  // namespace
}  // namespace conveyor
