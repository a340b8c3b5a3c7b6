// --delete_all, over every cloud's adapter.
#include "fleet/providers/cloud/delete_all.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "fleet/providers/cloud/names.h"
#include "fleet/providers/conformance/cloud_fixture.h"

namespace spotinference::fleet {
namespace {

class DeleteAllTest : public CloudFixture {
 protected:
  void AddApi(bool is_stranger = false) {
    clouds_.push_back(Api(kNamePrefix, is_stranger));
    EXPECT_EQ(clouds_.back()->List().ok(), !is_stranger);  // credentials are this one's from now on
  }
  absl::Status Delete(bool dry_run = false) {
    said_.clear();
    return DeleteAll(
        clouds_, {.dry_run = dry_run}, clock_, [&](absl::Duration time) { clock_.Advance(time); },
        [&](const std::string& line) { said_.push_back(line); });
  }

  std::vector<std::unique_ptr<CloudApi>> clouds_;
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
