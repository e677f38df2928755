#include "decide/shown_address.hpp"

#include <gtest/gtest.h>

namespace conveyor {
namespace {

TEST(ShownAddress, HasNoSecretInIt) {
  EXPECT_EQ(shown_address("https://store.example/b/ids.txt?X-Signature=secret&y=/@"),
            "https://store.example/b/ids.txt");
  EXPECT_EQ(shown_address("https://store.example?sig=secret"), "https://store.example");
  EXPECT_EQ(shown_address("https://store.example/x#secret"), "https://store.example/x");
  EXPECT_EQ(shown_address("https://anna:secret@store.example/a@b"), "https://store.example/a@b");
  EXPECT_EQ(shown_address("https://anna:secret@store.example"), "https://store.example");
}

TEST(ShownAddress, IsToldFromAFile) {
  EXPECT_TRUE(is_address("https://x"));
  EXPECT_TRUE(is_address("HTTP://x"));
  for (const char* file : {"-", "ids.txt", "/https://x", "https:/x", "ftp://x", ""})
    EXPECT_FALSE(is_address(file)) << file;
}

TEST(ShownAddress, MustBeOne) {
  EXPECT_EQ(address_problem("https://store.example:8443/b?x=@"), "");
  EXPECT_NE(address_problem("https://anna:secret@store.example/"), "");
  EXPECT_EQ(address_problem("https://anna:secret@store.example/").find("secret"), std::string::npos);
  for (const char* wrong : {"https://", "https:///x", "https://:80/", "https://a b/", "https://a/\n"})
    EXPECT_NE(address_problem(wrong), "") << wrong;
}

}  // namespace
}  // namespace conveyor
