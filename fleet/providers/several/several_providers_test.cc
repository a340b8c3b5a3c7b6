#include "fleet/providers/several/several_providers.h"

#include <string>
#include <vector>

#include "fleet/providers/fake_provider.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using Kind = MachineEvent::Kind;

class SeveralProvidersTest : public testing::Test {
 protected:
  SeveralProvidersTest() {
    std::vector<std::unique_ptr<Provider>> providers;
    for (FakeProvider** fake : {&first_, &second_}) {
      auto provider = std::make_unique<FakeProvider>(fake == &first_ ? "first" : "second");
      *fake = provider.get();
      providers.push_back(std::move(provider));
    }
    several_ = NewSeveralProviders(std::move(providers));
    several_->Listen([this](MachineEvent event) { events_.push_back(std::move(event)); });
  }

  FakeProvider* first_ = nullptr;
  FakeProvider* second_ = nullptr;
  std::unique_ptr<Provider> several_;
  std::vector<MachineEvent> events_;
};

TEST_F(SeveralProvidersTest, AMachineIsTheProvidersThatWasNamed) {
  several_->Launch({.id = "a", .provider = "second"});
  several_->Launch({.id = "b"});
  several_->Adopt({.id = "c", .provider = "second"}, "", "");
  several_->Hibernate("a");
  several_->Terminate("b");
  EXPECT_EQ(first_->Asked(), "launch b, terminate b");
  EXPECT_EQ(second_->Asked(), "launch a, adopt c, hibernate a");
  second_->TellGone("a");
  ASSERT_EQ(events_.size(), 1);
  EXPECT_EQ(events_[0].machine_id, "a");
  several_->Restore({.id = "a", .provider = "first"});
  several_->Terminate("a");
  EXPECT_EQ(first_->Asked(), "restore a, terminate a");
  several_->Discard({.id = "a", .provider = "second"});
  EXPECT_EQ(second_->Asked(), "discard a");
}

TEST_F(SeveralProvidersTest, WhoIsNotThereHasNoMachines) {
  several_->Launch({.id = "a", .provider = "third"});
  several_->Terminate("b");
  ASSERT_EQ(events_.size(), 2);
  EXPECT_EQ(events_[0].kind, Kind::kGone);
  EXPECT_TRUE(absl::IsFailedPrecondition(events_[0].status));
  EXPECT_TRUE(events_[1].status.ok());
}

TEST_F(SeveralProvidersTest, WhoCannotSayWhatItSellsIsHeardWhileNobodyCan) {
  first_->Tell({.kind = Kind::kOffers, .status = absl::UnauthenticatedError("no")});
  ASSERT_EQ(events_.size(), 1);
  EXPECT_TRUE(absl::IsUnauthenticated(events_[0].status));
  second_->Tell({.kind = Kind::kOffers, .offers = {{.offer = {.provider = "second", .zone = "c"}}}});
  first_->Tell({.kind = Kind::kOffers, .status = absl::UnauthenticatedError("no")});
  ASSERT_EQ(events_.size(), 2);
  EXPECT_EQ(events_[1].offers.size(), 1);
}

TEST_F(SeveralProvidersTest, OffersAreThoseOfAll) {
  const auto offer = [](const char* provider, const char* zone) {
    return OfferNow{.offer = {.provider = provider, .zone = zone}};
  };
  first_->Tell({.kind = Kind::kOffers, .offers = {offer("first", "a"), offer("first", "b")}});
  second_->Tell({.kind = Kind::kOffers, .offers = {offer("second", "c")}});
  ASSERT_EQ(events_.back().offers.size(), 3);
  first_->Tell({.kind = Kind::kOffers});  // it sells nothing any more
  ASSERT_EQ(events_.back().offers.size(), 1);
  EXPECT_EQ(events_.back().offers[0].offer.zone, "c");
}

}  // namespace
}  // namespace spotinference::fleet
