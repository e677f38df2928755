// The outcome table against what real servers said (answers.tsv, recorded by record_answers.py): every supported
// generation, the whole way from an answer's text to what becomes of each document.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "decide/bulk_answer.hpp"
#include "decide/outcome.hpp"

namespace conveyor {
namespace {

using enum Outcome;

struct Answer {
  std::string server;
  int status;
  std::string body;
};

// Case → one answer of each server.
std::map<std::string, std::vector<Answer>> read_answers() {
  std::map<std::string, std::vector<Answer>> answers;
  std::ifstream file(CONVEYOR_UNIT_TESTS "/decide/answers.tsv");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string name, server, status, body;
    std::getline(fields, name, '\t');
    std::getline(fields, server, '\t');
    std::getline(fields, status, '\t');
    std::getline(fields, body);
    answers[name].push_back({server, std::stoi(status), body});
  }
  return answers;
}

// What each item of the request must come to; 'd': the item was a delete. Where the whole request is refused, its one
// outcome counts for all.
struct Meaning {
  std::vector<Outcome> outcomes;
  std::string deletes{};  // one character an item; shorter: no deletes behind
  bool sole = false;      // one item was all of the request
};

const std::map<std::string, Meaning> meanings = {
    {"accepted: index, index anew, delete, delete of nothing", {{done, done, done, done}, "--dd"}},
    {"conflict: index, delete", {{superseded, superseded}, "-d"}},

    {"document: a word for a number", {{dead_letter}, "", true}},
    {"document: a number too large", {{dead_letter}, "", true}},
    {"document: no date", {{dead_letter}, "", true}},
    {"document: a word for an object", {{dead_letter}, "", true}},
    {"document: an object for a word", {{dead_letter}, "", true}},
    {"document: immense term", {{dead_letter}, "", true}},
    {"document: too many fields", {{dead_letter}, "", true}},
    {"document: empty name", {{dead_letter}, "", true}},
    {"document: no JSON", {{dead_letter}, "", true}},
    {"document: a name twice", {{dead_letter}, "", true}},
    {"document: too deep", {{dead_letter}, "", true}},
    {"document: strict mapping", {{dead_letter}, "", true}},

    {"request: bad _id", {{shrink}}},
    {"request: bad action line", {{shrink}}},
    {"request: no final newline", {{shrink}}},
    {"request: too large", {{dead_letter}, "", true}},
    {"large request: bad _id", {{shrink}}},

    {"place: no such alias", {{hold}}},
    {"place: routing required", {{hold}}},
    {"place: closed index", {{hold, hold}, "-d"}},
    {"place: write block", {{hold, hold}, "-d"}},
    {"place: read-only index", {{hold, hold}, "-d"}},
    {"place: flood stage", {{hold, hold}, "-d"}},
    {"place: read-only cluster", {{hold}}},

    {"later: unassigned shard", {{retry}}},
    {"overload: indexing pressure", {{slow_down}}},
    {"overload: full write queue", {{slow_down}}},
    {"overload: circuit breaker", {{slow_down}}},
    {"overload: one document over the indexing pressure", {{dead_letter}, "", true}},
};

// As elasticsearch_send.cpp does it.
std::vector<Outcome> outcomes(const Answer& answer, const Meaning& meaning) {
  if (answer.status == 200) {
    std::size_t items = 0;
    for (std::size_t at = answer.body.find("\"status\":"); at != std::string::npos;
         at = answer.body.find("\"status\":", at + 1))
      ++items;
    const auto read = parse_bulk_answer(answer.body, items);
    if (!read) return {};
    std::vector<Outcome> found;
    for (std::size_t i = 0; i < read->items.size(); ++i) {
      const AnswerItem& item = read->items[i];
      const bool remove = i < meaning.deletes.size() && meaning.deletes[i] == 'd';
      const int status = never_fits(item.reason) ? 413 : item.status;
      found.push_back(item_outcome(status, item.type, remove, meaning.sole));
    }
    return read->all_done ? meaning.outcomes : found;
  }
  const AnswerItem error = parse_error(answer.status, answer.body);
  const int status = never_fits(error.reason) ? 413 : answer.status;
  return std::vector<Outcome>(meaning.outcomes.size(), request_outcome(status, error.type, meaning.sole));
}

const std::set<std::string> generations = {"OpenSearch 2", "OpenSearch 3", "Elasticsearch 8", "Elasticsearch 9"};

TEST(Answers, EveryGenerationSaidSomethingToEveryCase) {
  const auto answers = read_answers();
  for (const auto& [name, meaning] : meanings) {
    ASSERT_TRUE(answers.contains(name)) << name;
    std::set<std::string> heard;
    for (const Answer& answer : answers.at(name)) heard.insert(answer.server.substr(0, answer.server.find('.')));
    if (name == "overload: circuit breaker") heard.insert("Elasticsearch 9");  // it does not count bulk requests there
    EXPECT_EQ(heard, generations) << name;
  }
  EXPECT_EQ(answers.size(), meanings.size()) << "a case that was recorded has no meaning here";
}

TEST(Answers, WhatEachServerSaysComesToWhatItMeans) {
  for (const auto& [name, said] : read_answers())
    for (const Answer& answer : said) {
      const Meaning& meaning = meanings.at(name);
      const std::vector<Outcome> found = outcomes(answer, meaning);
      ASSERT_FALSE(found.empty()) << name << ", " << answer.server << ": " << answer.body;
      // Elasticsearch 9 may answer item by item where the others refuse a request: then none is accepted for another.
      for (std::size_t i = 0; i < found.size(); ++i) {
        const Outcome wanted = meaning.outcomes[std::min(i, meaning.outcomes.size() - 1)];
        const bool applied = wanted == shrink && found[i] == done;
        EXPECT_TRUE(found[i] == wanted || applied || (wanted == slow_down && found[i] == done))
            << name << ", " << answer.server << ", item " << i << ": " << conveyor::name(found[i]) << " instead of "
            << conveyor::name(wanted) << "; " << answer.body.substr(0, 600);
      }
      if (meaning.outcomes.front() == slow_down || meaning.outcomes.front() == shrink) {
        EXPECT_TRUE(std::ranges::find(found, meaning.outcomes.front()) != found.end()) << name << ", " << answer.server;
      }
    }
}

TEST(Answers, ADeadLetterSaysWhichFieldOrWhy) {
  for (const auto& [name, said] : read_answers()) {
    if (!name.starts_with("document: ")) continue;
    for (const Answer& answer : said) {
      const auto read = parse_bulk_answer(answer.body, 1);
      ASSERT_TRUE(read) << name;
      EXPECT_GT(read->items[0].reason.size(), std::string("failed to parse").size()) << name << ", " << answer.server;
    }
  }
}

}  // namespace
}  // namespace conveyor
