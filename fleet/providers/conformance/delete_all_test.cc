// --delete_all, over every cloud's adapter.
#include "fleet/providers/cloud/delete_all.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class DeleteAllTest : public CloudFixture {
 protected:
  void AddApi(bool is_stranger = false, const std::string& prefix = kNamePrefix) {
    clouds_.push_back(Api(prefix, is_stranger));
    EXPECT_EQ(clouds_.back()->List().ok(), !is_stranger);  // credentials are this one's from now on
  }
  absl::Status Delete(bool dry_run = false, const std::string& prefix = kNamePrefix) {
    said_.clear();
    return DeleteAll(
        clouds_, {.name_prefix = prefix, .accounts = accounts_, .dry_run = dry_run}, clock_,
        [&](absl::Duration time) { clock_.Advance(time); },
        [&](const std::string& line) { said_.push_back(line); });
  }
  // All that a fleet has, as the clouds have it.
  std::vector<std::string> Of(const std::string& fleet) {
    const std::string prefix = CloudNames(fleet).Prefix();
    std::vector<std::string> things;
    emulator_.Look([&](CloudModel& model) {
      using State = EmulatedMachine::State;
      for (const auto& [number, machine] : model.machines()) {
        if (!absl::StartsWith(machine.name, prefix)) continue;
        if (machine.state == State::kRunning) things.push_back(absl::StrCat("runs: ", machine.name));
        else if (machine.state != State::kGone) things.push_back(absl::StrCat("machine ", machine.name));
        if (machine.is_public && (machine.state != State::kGone || machine.left_address))
          things.push_back(absl::StrCat("address of ", machine.name));
        if (machine.state == State::kGone && machine.keeps_address)
          things.push_back(absl::StrCat("interface of ", machine.name));
      }
      for (const auto& [number, volume] : model.volumes()) {
        if (absl::StartsWith(volume.name, prefix))
          things.push_back(absl::StrCat("volume ", volume.name, " of machine ", volume.machine));
      }
    });
    return things;
  }
  // A fleet with two machines, one of them hibernated, and, where machines leave such behind, the address of a third.
  void Live(const std::string& fleet) {
    fleet_ = fleet;
    Begin();
    for (const char* id : {"m-1", "m-2", "m-3"}) EXPECT_EQ(Serve(Spec(id, absl::StrCat("of ", id))).kind, Kind::kReady);
    provider_->Hibernate("m-2");
    EXPECT_TRUE(AwaitGone("m-2").ok());
    provider_.reset();
    emulator_.Look([&](CloudModel& model) {
      const auto third = std::find_if(
          model.machines().rbegin(), model.machines().rend(),
          [](const auto& machine) { return machine.second.state == EmulatedMachine::State::kRunning; });
      ASSERT_NE(third, model.machines().rend());
      EXPECT_TRUE(model.Delete(third->second).ok());
    });
    clock_.Advance(absl::Minutes(1));
    emulator_.Advance();
  }

  std::vector<std::unique_ptr<CloudApi>> clouds_;
  std::map<std::string, std::string> accounts_;
  std::vector<std::string> said_;
};

TEST_P(DeleteAllTest, EndsAllThatAnyFleetMade) {
  Serve(Spec());
  Serve(Spec("m-2", "v-2"));
  provider_->Hibernate("m-1");
  EXPECT_TRUE(AwaitGone("m-1").ok());
  provider_.reset();
  AddApi();
  const int there = volumes();
  EXPECT_TRUE(Delete(/*dry_run=*/true).ok());
  EXPECT_GE(said_.size(), 3);
  emulator_.Look([&](CloudModel& model) {
    for (const auto& [number, volume] : model.volumes())
      EXPECT_TRUE(absl::StrContains(absl::StrJoin(said_, "\n"), volume.name)) << "as its cloud's console has it";
  });
  EXPECT_EQ(volumes(), there);
  EXPECT_EQ(emulator_.billing(), 1);
  Say("fault 503 7");
  EXPECT_TRUE(Delete().ok());
  EXPECT_EQ(emulator_.billing(), 0);
  EXPECT_EQ(volumes(), 0);
}

TEST_P(DeleteAllTest, NoAddressIsLeft) {
  public_address_ = true;
  Begin();
  Say("habit keeps_addresses 1");
  Serve(Spec());
  EXPECT_EQ(addresses(), 1);
  provider_.reset();
  AddApi();
  EXPECT_TRUE(Delete().ok());
  EXPECT_EQ(addresses(), 0);
  EXPECT_EQ(interfaces(), 0);
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(DeleteAllTest, InAnotherAccountNothingIsAskedAndNothingIsSaidToBeLeft) {
  Live("ab12");
  const std::vector<std::string> things = Of("ab12");
  AddApi();
  const std::string account = *clouds_[0]->Account();
  ASSERT_FALSE(account.empty());
  accounts_ = {{GetParam().name, account + "0"}};
  const absl::Status status = Delete();
  EXPECT_TRUE(absl::StrContains(status.message(), "these credentials are of " + account)) << status;
  EXPECT_EQ(Of("ab12"), things);
  accounts_ = {{GetParam().name, account}};
  EXPECT_TRUE(Delete().ok());
  EXPECT_EQ(Of("ab12"), std::vector<std::string>());
}

TEST_P(DeleteAllTest, OfOneFleetLeavesTheOthersWhole) {
  const std::string fleet = "ab12", other = "ab1";
  public_address_ = true;
  Say("habit keeps_addresses 1");
  Live(other);
  Live(fleet);
  const std::vector<std::string> others = Of(other);
  EXPECT_GE(others.size(), 5) << "a machine and its address, and three volumes";
  EXPECT_GE(Of(fleet).size(), others.size());
  const std::string prefix = CloudNames(fleet).Prefix();
  AddApi();
  EXPECT_TRUE(Delete(/*dry_run=*/true, prefix).ok());
  EXPECT_FALSE(said_.empty());
  for (const std::string& line : said_) {
    EXPECT_TRUE(absl::StrContains(line, prefix)) << "whatever a cloud lists: " << line;
  }
  clouds_.clear();
  AddApi(/*is_stranger=*/false, prefix);
  const absl::Status status = Delete(/*dry_run=*/false, prefix);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Of(fleet), std::vector<std::string>());
  EXPECT_EQ(Of(other), others);

  clouds_.clear();
  AddApi();
  EXPECT_TRUE(Delete().ok());
  EXPECT_EQ(Of(other), std::vector<std::string>());
}

TEST_P(DeleteAllTest, OneCloudThatRefusesKeepsNoOtherFromIt) {
  Serve(Spec());
  provider_.reset();
  AddApi();
  AddApi(/*is_stranger=*/true);
  std::swap(clouds_[0], clouds_[1]);
  EXPECT_TRUE(absl::IsUnavailable(Delete()));
  EXPECT_EQ(emulator_.billing(), 0);
  EXPECT_EQ(volumes(), 0);
}

TEST_P(DeleteAllTest, SaysWhatIsLeft) {
  Serve(Spec());
  provider_.reset();
  AddApi();
  Say("habit attach 1e9");  // nothing lets go of a volume any more
  Say("habit dead_keep_volumes 1");
  const absl::Status status = Delete();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_TRUE(absl::StrContains(status.message(), "left are volume spotinference-ab12-")) << status;
  EXPECT_EQ(emulator_.billing(), 0);
}

TEST_P(DeleteAllTest, AVolumeOnItsWayToAMachineThatIsGoneIsDeleted) {
  Say("habit attach_never_ends 1");
  Say("habit dead_keep_volumes 1");
  provider_->Launch(Spec());
  Pass(absl::Seconds(90));
  provider_.reset();
  Say(absl::StrCat("take ", number(), " 0 gone silent"));
  AddApi();
  const absl::Status status = Delete();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(volumes(), 0);
}

TEST_P(DeleteAllTest, WhatCannotBeAskedMayBeLeft) {
  if (!GetParam().has_places) GTEST_SKIP() << GetParam().name << " answers for all places or none";
  Serve(Spec());
  provider_.reset();
  AddApi();
  Say(absl::StrCat("unreachable ", GetParam().zone.substr(0, GetParam().zone.size() - 1)));
  const absl::Status status = Delete();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_TRUE(absl::StrContains(status.message(), "cannot be asked")) << status;
}

INSTANTIATE_TEST_SUITE_P(Clouds, DeleteAllTest, testing::ValuesIn(AllClouds()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace spotinference::fleet
