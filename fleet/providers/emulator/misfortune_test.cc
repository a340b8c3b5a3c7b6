#include "fleet/providers/emulator/misfortune.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/fake_clock.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

class NoHost : public MachineHost {
 public:
  std::string Address(int64_t machine) override { return absl::StrCat("127.9.0.", machine); }
  void Boot(const EmulatedMachine&) override {}
  void Halt(const EmulatedMachine&) override {}
  void Erase(const EmulatedMachine&) override {}
  void Attach(const EmulatedMachine&, const EmulatedVolume&) override {}
  void Detach(const EmulatedMachine&, const EmulatedVolume&) override {}
  void Notice(const EmulatedMachine&, std::optional<absl::Duration>) override {}
  absl::Status Tell(const EmulatedMachine&, const std::string&) override { return absl::OkStatus(); }
};

// A cloud in which somebody always buys what there is, and its misfortunes.
struct World {
  World(uint64_t seed, double per_hour) : misfortune(seed, per_hour, clock.Elapsed()) {
    model.Sell({.cloud = "aws", .region = "r", .zone = "ra", .type = "t", .on_demand_price = 1, .stock = 3});
  }

  void Pass(absl::Duration time) {
    for (const absl::Duration end = clock.Elapsed() + time; clock.Elapsed() < end; clock.Advance(absl::Seconds(10))) {
      model.Advance();
      misfortune.Advance(model, host, clock.Elapsed());
      (void)model.Buy({.cloud = "aws", .name = absl::StrCat("m-", ++bought), .zone = "ra", .type = "t"});
    }
  }

  FakeClock clock;
  NoHost host;
  CloudModel model{clock, host};
  Misfortune misfortune;
  int bought = 0;
};

TEST(Misfortune, TheSameSeedBringsTheSame) {
  World first(7, 60), same(7, 60), other(8, 60);
  for (World* const world : {&first, &same, &other}) world->Pass(absl::Hours(5));
  EXPECT_GT(first.misfortune.happened().size(), 100);
  EXPECT_EQ(first.misfortune.happened(), same.misfortune.happened());
  EXPECT_NE(first.misfortune.happened(), other.misfortune.happened());
}

TEST(Misfortune, EverythingComesAndEnds) {
  World world(1, 60);
  world.Pass(absl::Hours(24));
  std::set<std::string> came;
  for (const std::string& what : world.misfortune.happened()) {
    came.insert(std::vector<std::string>(absl::StrSplit(what, ": "))[0]);
  }
  for (const std::string& name : Misfortune::Names()) EXPECT_EQ(came.count(name), 1) << name;
  world.misfortune.End(world.model, world.host);
  const size_t so_far = world.misfortune.happened().size();
  world.Pass(absl::Hours(1));
  EXPECT_EQ(world.misfortune.happened().size(), so_far);
  const CloudModel::Habits& habits = world.model.habits();
  EXPECT_FALSE(world.misfortune.is_down() || habits.stop_never_ends || habits.attach_never_ends ||
               habits.dead_keep_volumes || habits.late_failure || habits.new_fields);
  EXPECT_EQ(habits.list_lag, absl::ZeroDuration());
  EXPECT_EQ(habits.unreachable, "");
  EXPECT_EQ(world.misfortune.NextOfBurst(), "");
  int running = 0;
  for (const auto& [number, machine] : world.model.machines()) {
    running += machine.state == EmulatedMachine::State::kRunning;
  }
  EXPECT_EQ(running, 3) << "the stock is what it was";
}

TEST(Misfortune, NoneComesWithoutASeed) {
  World world(1, 0);
  world.Pass(absl::Hours(24));
  EXPECT_TRUE(world.misfortune.happened().empty());
}

}  // namespace
}  // namespace spotinference::fleet
