#include "fleet/ledger/report.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace spotinference::fleet {
namespace {

constexpr char kLedger[] = R"({"lines":[
  {"model":"m","market":"spot","use":"busy","key":"x","seconds":3600,"dollars":0.5,"on_demand_dollars":3},
  {"model":"m","market":"spot","use":"busy","key":"y","seconds":1800,"dollars":0.25,"on_demand_dollars":1.5},
  {"model":"m","market":"on_demand","use":"idle","seconds":1800,"dollars":1.5,"on_demand_dollars":1.5},
  {"model":"m","market":"spot","use":"waking","seconds":0,"dollars":0},
  {"model":"n","market":"spot","use":"lost","seconds":7200,"dollars":1},
  {"model":"n","market":"spot","use":"waking","seconds":1800,"dollars":0.5,"replacing_dollars":0.2}]})";

TEST(LedgerReport, AnswersTheFourQuestions) {
  const auto rows = ParseLedger(kLedger, "l");
  ASSERT_TRUE(rows.ok()) << rows.status();
  const auto tokens = GeneratedTokens(
      "# HELP spotinference_tokens_total x\n"
      "spotinference_tokens_total{kind=\"generated\",model=\"m\"} 450000\n"
      "spotinference_tokens_total{kind=\"prompt\",model=\"m\"} 9e9\n");
  const std::string text = LedgerReport(*rows, tokens);
  for (const char* line :
       {"m  $2.2500\n", "share of idle tail           25.0 %\n", "a million tokens            $5.0000\n",
        "saved against on demand       62.5 %\n", "interruptions               $0.0000", "key x", "$0.2500\n",
        "n  $1.5000\n", "a million tokens                  -\n", "saved against on demand            -\n",
        "interruptions               $1.2000"}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << "\nin\n" << text;
  }
  EXPECT_EQ(LedgerReport({}, {}), "no machine has run yet\n");
}

TEST(LedgerReport, TokensOfTheLedgerGiveThePriceOfAMillionByModelAndKey) {
  const auto rows = ParseLedger(R"({"lines":[
    {"model":"m","market":"spot","use":"busy","key":"x","seconds":3600,"dollars":0.5,"on_demand_dollars":3,"tokens":250000},
    {"model":"m","market":"spot","use":"idle","seconds":3600,"dollars":0.5,"on_demand_dollars":3}]})", "l");
  ASSERT_TRUE(rows.ok()) << rows.status();
  const std::string text = LedgerReport(*rows, {});
  EXPECT_TRUE(absl::StrContains(text, "a million tokens            $4.0000\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "$0.5000  busy; $2.0000 a million tokens\n")) << text;
}

// 1 of 3 dollars saved by spot, of which storage costs half.
TEST(LedgerReport, StorageIsInTheModelsDollarsAndNoUseOfAMachine) {
  const auto page = ParseLedger(R"({"lines":[
    {"model":"m","market":"spot","use":"busy","seconds":3600,"dollars":2,"on_demand_dollars":3,"tokens":250000}],
    "storage":[{"model":"m","kind":"volume","dollars":0.4,"gigabyte_hours":7300},
               {"model":"m","kind":"boot_disk","dollars":0.05,"gigabyte_hours":730},
               {"model":"m","kind":"address","dollars":0.05},
               {"model":"old","kind":"volume","dollars":0.25,"gigabyte_hours":2500}]})", "l");
  ASSERT_TRUE(page.ok()) << page.status();
  const std::string text = LedgerReport(*page, {});
  for (const char* line :
       {"m  $2.5000\n", "busy                         1.00 h  $2.0000\n", "volumes                      7300 GB h  $0.4000\n",
        "boot disks                    730 GB h  $0.0500\n", "addresses                            $0.0500\n", "a million tokens           $10.0000\n",
        "saved against on demand       16.7 %\n", "interruptions               $0.0000", "old  $0.2500\n"}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << "\nin\n" << text;
  }
}

TEST(ParseLedger, RefusesWhatIsNone) {
  for (const char* text : {"", "[]", "{\"lines\":1}", "{\"lines\":[1]}",
                           R"({"lines":[{"model":"m","market":"s","use":"fun","seconds":1,"dollars":1}]})",
                           R"({"lines":[{"model":"m","market":"s","use":"busy","seconds":-1,"dollars":1}]})",
                           R"({"lines":[{"model":"m","market":"s","use":"busy","dollars":1}]})",
                           R"({"lines":[{"model":"m","market":"s","use":"busy","seconds":1,"dollars":1,"tokens":1e19}]})",
                           R"({"lines":[],"storage":{}})", R"({"lines":[],"storage":[{"model":"m","kind":"volume"}]})",
                           R"({"lines":[],"storage":[{"model":"m","kind":"volume","dollars":-1}]})"}) {
    const auto rows = ParseLedger(text, "l");
    ASSERT_FALSE(rows.ok()) << text;
    EXPECT_TRUE(absl::StartsWith(rows.status().message(), "l: ")) << rows.status();
  }
}

}  // namespace
}  // namespace spotinference::fleet
