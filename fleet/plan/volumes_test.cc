#include "fleet/plan/volumes.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kNow = absl::Hours(100 * 24);

// 100 GB of AWS beside a machine of $0.35: 20 · 3 min · 0.35 / 0.011 = 31.8 h.
VolumeCopy Copy(const std::string& name, absl::Duration unused) {
  return {.name = name, .filled = true, .unused_since = kNow - unused, .per_hour = 0.011, .machine_per_hour = 0.35};
}

std::string Ends(const VolumeRules& rules, const std::vector<VolumeCopy>& volumes) {
  std::string names;
  for (const auto& [name, why] : PlanVolumes(rules, volumes, kNow).ends) absl::StrAppend(&names, name, ";");
  return names;
}

TEST(Volumes, AreKeptUntilThatHasCostAsMuchAsFillingAnother) {
  VolumeCopy volume = Copy("a", {});
  EXPECT_NEAR(absl::ToDoubleHours(KeptFor({}, volume)), 20 * 0.05 * 0.35 / 0.011, 1e-6);
  volume.machine_per_hour = 3.5;  // ten times as dear to fill
  EXPECT_NEAR(absl::ToDoubleHours(KeptFor({}, volume)), 318.2, 0.1);
  EXPECT_NEAR(absl::ToDoubleHours(KeptFor({.fill = absl::Minutes(6)}, volume)), 636.4, 0.1);
  volume.machine_per_hour = 35;
  EXPECT_EQ(KeptFor({}, volume), 30 * kDay);
  volume.machine_per_hour = 0.01;
  EXPECT_EQ(KeptFor({}, volume), kDay);
  EXPECT_EQ(KeptFor({.keep = absl::Minutes(5)}, volume), absl::Minutes(5));
  volume.filled = false;
  EXPECT_EQ(KeptFor({}, volume), absl::Hours(1));
  EXPECT_EQ(KeptFor({.keep = absl::Minutes(5)}, volume), absl::Minutes(5));
  volume.per_hour = 0;
  EXPECT_EQ(KeptFor({}, volume), absl::InfiniteDuration());
}

TEST(Volumes, GoWithTheirReasonWhenTheyAreNotWantedForSoLong) {
  const std::vector<VolumeCopy> volumes = {Copy("a", kDay), Copy("b", 2 * kDay), Copy("c", 3 * kDay)};
  const VolumePlan plan = PlanVolumes({}, volumes, kNow);
  ASSERT_EQ(plan.ends.size(), 2);
  EXPECT_EQ(plan.ends[0].first, "b");
  EXPECT_THAT(plan.ends[0].second, HasSubstr("unused for 48h and kept for 31h49m"));
  EXPECT_THAT(plan.ends[0].second, HasSubstr("$0.0110/h"));
  EXPECT_THAT(plan.ends[0].second, HasSubstr("3m at $0.3500/h"));
  EXPECT_EQ(plan.ends[1].first, "c");
  const VolumePlan before = PlanVolumes({}, {Copy("a", {}), Copy("b", kDay)}, kNow);
  EXPECT_TRUE(before.ends.empty());
  EXPECT_EQ(before.next, kNow - kDay + KeptFor({}, volumes[0]));
}

TEST(Volumes, TheLastOneWithWeightsStays) {
  VolumeCopy empty = Copy("e", kDay);
  empty.filled = false;
  EXPECT_EQ(Ends({}, {Copy("a", 50 * kDay)}), "");
  EXPECT_EQ(Ends({}, {Copy("a", 50 * kDay), empty}), "e;");
  EXPECT_EQ(Ends({}, {Copy("a", 50 * kDay), Copy("b", 40 * kDay)}), "a;") << "the one that was used last";
  EXPECT_EQ(Ends({.configured = false}, {Copy("a", 50 * kDay)}), "a;") << "nobody can ask for the model any more";
  VolumeCopy used = Copy("b", {});
  used.in_use = true;
  EXPECT_EQ(Ends({}, {Copy("a", 50 * kDay), used}), "a;");
  used.filled = false;
  EXPECT_EQ(Ends({}, {Copy("a", 50 * kDay), used}), "") << "its weights are still to come";
}

TEST(Volumes, StayWhileAMachineHasThemOrARequestWaits) {
  VolumeCopy used = Copy("b", 50 * kDay);
  used.in_use = true;
  EXPECT_EQ(Ends({}, {used, Copy("c", {})}), "");
  EXPECT_EQ(Ends({.parked = true}, {Copy("a", 50 * kDay), Copy("b", 40 * kDay)}), "");
  VolumeCopy later = Copy("a", 50 * kDay);
  later.not_before = kNow + absl::Hours(1);
  EXPECT_EQ(Ends({}, {later, Copy("b", 40 * kDay)}), "");
  EXPECT_EQ(PlanVolumes({}, {later, Copy("b", 40 * kDay)}, kNow).next, later.not_before);
}

}  // namespace
}  // namespace spotinference::fleet
