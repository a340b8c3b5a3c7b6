// A new life of the controller on the store of the former one: which machines it takes over.
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "fleet/controller_fixture.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST_F(ControllerTest, AnotherLifeAdoptsWhatFits) {
  auto former = Acquire();
  Ready("m-1");
  provider_.Asked();
  Begin();
  EXPECT_EQ(provider_.Asked(), "adopt m-1");
  auto client = Acquire();  // waits for the adoption instead of a second machine
  provider_.TellAdopted("m-1", "m-1:1");
  fleet_->Run();
  EXPECT_EQ(client->answers, 0);
  probe_.Answer(EngineIdentity{"abc", "n2"});
  fleet_->Run();
  ASSERT_TRUE(client->lease.has_value());
  EXPECT_EQ(client->lease->endpoint().token, "t");
  EXPECT_EQ(client->lease->endpoint().numerics_id, "n2");
  EXPECT_EQ(provider_.Asked(), "");
}

// A gateway that starts with its host may be early.
TEST_F(ControllerTest, AnotherLifeAsksForAWhileWhoIsThere) {
  auto client = Acquire();
  Ready("m-1");
  for (const bool answers : {true, false}) {
    Begin();
    provider_.TellAdopted("m-1", "m-1:1");
    fleet_->Run();
    provider_.Asked();
    for (int i = 0; i < 29; ++i) {
      probe_.Answer(absl::UnavailableError("connection refused"));
      fleet_->Run();
      EXPECT_EQ(probe_.open_questions(), 0);
      Advance(absl::Seconds(1));
      ASSERT_EQ(probe_.open_questions(), 1);
    }
    if (!answers) Advance(absl::Seconds(1));
    probe_.Answer(answers ? absl::StatusOr<EngineIdentity>(EngineIdentity{"abc", "n"}) : absl::UnavailableError("no"));
    fleet_->Run();
    EXPECT_EQ(provider_.Asked(), answers ? "" : "terminate m-1");
  }
}

TEST_F(ControllerTest, AnotherLifeEndsWhatDoesNotFit) {
  auto client = Acquire();
  Ready("m-1");
  Begin();
  provider_.TellAdopted("m-1", "m-1:1");
  fleet_->Run();
  provider_.Asked();
  probe_.Answer(EngineIdentity{"def", "n"});
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "terminate m-1");
  Gone("m-1");
  EXPECT_TRUE(store_.machines().empty());

  options_.models[0].context_tokens = 8192;  // the configuration has changed meanwhile
  client = Acquire();
  Ready("m-2");
  Begin();
  provider_.TellAdopted("m-2", "m-2:1");
  fleet_->Run();
  provider_.Asked();
  probe_.Answer(EngineIdentity{"abc", "n", 2048});
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "terminate m-2");
  Gone("m-2");
  options_.models[0].context_tokens = 0;
  Begin();

  client = Acquire();  // and killed before the address is known
  provider_.TellStarted("m-3");
  fleet_->Run();
  Begin();
  provider_.TellAdopted("m-3", "");
  provider_.Asked();
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "terminate m-3");
  Gone("m-3");

  client = Acquire();
  options_.models[0].name = "other";
  provider_.Asked();
  Begin();
  provider_.TellAdopted("m-4", "m-4:1");
  fleet_->Run();
  EXPECT_EQ(provider_.Asked(), "adopt m-4, terminate m-4");
}

TEST_F(ControllerTest, AnotherLifeForgetsWhatIsGoneWithoutBlamingTheModel) {
  for (int life = 0; life < 3; ++life) {
    auto client = Acquire();
    EXPECT_EQ(provider_.Asked(), absl::StrCat("launch m-", life + 1));
    Begin();
    Gone(absl::StrCat("m-", life + 1), absl::UnavailableError("its process is gone"));
    EXPECT_TRUE(store_.machines().empty());
    provider_.Asked();
  }
}

}  // namespace
}  // namespace spotinference::fleet
