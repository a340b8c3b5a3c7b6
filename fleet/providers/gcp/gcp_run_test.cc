#include "fleet/providers/gcp/gcp_run.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fleet/providers/cloud/http.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

std::string At(int second) { return absl::StrCat("2026-11-29T03:", 30 + second / 60, ":", 10 + second % 60, ".201-08:00"); }
absl::Time TimeAt(int second) { return *TimeIn(At(second)); }

// Begun a second after it was asked for. `done` < 0: it goes on.
Json Row(const std::string& type, int asked, int done, const std::string& more = "") {
  const std::string end = done < 0 ? "" : absl::StrCat(R"(,"endTime":")", At(done), "\"");
  return *Json::Parse(absl::StrCat(R"({"kind":"compute#operation","name":"operation-1","operationType":")", type,
                                   R"(","status":")", done < 0 ? "RUNNING" : "DONE", R"(","insertTime":")", At(asked),
                                   R"(","startTime":")", At(asked + 1), "\"", end, more, "}"));
}

constexpr char kNoStock[] =
    R"(,"httpErrorStatusCode":503,"error":{"errors":[{"code":"ZONE_RESOURCE_POOL_EXHAUSTED","message":"none"}]})";

void Expect(const absl::StatusOr<CloudRun>& run, int began, int ended, bool reclaimed = false) {
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->began, TimeAt(began));
  EXPECT_EQ(run->ended, TimeAt(ended));
  EXPECT_EQ(run->reclaimed, reclaimed);
}

TEST(GcpRunOf, IsFromItsInsertToTheEndOfItsDeletion) {
  Expect(GcpRunOf({}, {Row("delete", 40, 45), Row("insert", 0, 9), Row("setMetadata", 20, 21)}), 1, 45);
}

TEST(GcpRunOf, BeginsAsAListHadIt) {
  Expect(GcpRunOf({.began = TimeAt(8)}, {Row("insert", 0, 9), Row("delete", 40, 45)}), 8, 45);
  Expect(GcpRunOf({.began = TimeAt(8)}, {Row("delete", 40, 45)}), 8, 45);  // its insert is forgotten
}

TEST(GcpRunOf, EndsWithItsStopAndNotWithALaterDeletion) {
  Expect(GcpRunOf({}, {Row("insert", 0, 9), Row("stop", 40, 45), Row("delete", 80, 81)}), 1, 45);
  Expect(GcpRunOf({.began = TimeAt(8), .ended = TimeAt(44)},
                  {Row("insert", 0, 9), Row("compute.instances.preempted", 30, 30), Row("delete", 80, 81)}),
         8, 44, /*reclaimed=*/true);
}

TEST(GcpRunOf, IsTheLatestOne) {
  const std::vector<Json> first = {Row("insert", 0, 9), Row("compute.instances.preempted", 30, 30), Row("stop", 40, 45)};
  std::vector<Json> both = first;
  both.push_back(Row("start", 60, 65));
  both.push_back(Row("delete", 90, 95));
  Expect(GcpRunOf({.began = TimeAt(8), .ended = TimeAt(45)}, both), 61, 95);
  Expect(GcpRunOf({.began = TimeAt(64)}, both), 64, 95);
  both = first;
  both.push_back(Row("start", 60, 65, kNoStock));  // which began none
  Expect(GcpRunOf({}, both), 1, 45, /*reclaimed=*/true);
}

TEST(GcpRunOf, WhatWasStoppedIsPreemptedNoMore) {
  Expect(GcpRunOf({}, {Row("insert", 0, 9), Row("stop", 40, 45), Row("compute.instances.preempted", 42, 42)}), 1, 45);
}

TEST(GcpRunOf, IsNotToldBeforeItIsOver) {
  for (const std::vector<Json>& operations :
       {std::vector<Json>{Row("insert", 0, 9)}, {Row("insert", 0, 9), Row("delete", 40, -1)},
        {Row("insert", 0, 9), Row("compute.instances.preempted", 30, 30)}}) {
    EXPECT_TRUE(absl::IsUnavailable(GcpRunOf({}, operations).status()));
  }
  EXPECT_TRUE(absl::IsUnavailable(GcpRunOf({.began = TimeAt(8)}, {}).status()));
}

TEST(GcpRunOf, NothingIsToldOfWhatNeverCameToBe) {
  const std::vector<std::vector<Json>> lists = {
      {}, {Row("insert", 0, 9, kNoStock)}, {*Json::Parse("[]"), *Json::Parse(R"({"operationType":7,"insertTime":{}})")}};
  for (const std::vector<Json>& operations : lists) {
    const auto run = GcpRunOf({}, operations);
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_FALSE(run->began.has_value() || run->ended.has_value() || run->reclaimed);
  }
}

}  // namespace
}  // namespace spotinference::fleet
