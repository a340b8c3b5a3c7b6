#include "fleet/providers/cloud/names.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace spotinference::fleet {
namespace {

TEST(CloudNames, FitTheStrictestCloud) {
  const CloudNames names("ab12cd");
  for (const std::string& id : {std::string("org/Model:q4_K.M-17"), std::string(128, 'x'), std::string("é")}) {
    for (const std::string& name : {names.Machine(id), ZonedName(names.Volume(id), "default-CANADA-1")}) {
      EXPECT_LE(name.size(), 50) << name;
      EXPECT_TRUE(absl::StartsWith(name, names.Prefix())) << name;
      EXPECT_TRUE(absl::ascii_isalnum(name.back())) << name;
      EXPECT_TRUE(std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
      })) << name;
    }
  }
}

TEST(CloudNames, AreToldFromWhatPeopleCallThings) {
  const CloudNames names("ab12cd");
  for (const std::string& id : {std::string("m-1"), std::string("org/Model:q4_K.M-17"), std::string("é")}) {
    EXPECT_TRUE(IsFleetName(names.Machine(id))) << names.Machine(id);
    EXPECT_TRUE(IsFleetName(ZonedName(names.Volume(id), "z")));
  }
  for (const char* other : {"spotinference-gateway", "spotinference-backup-2026", "spotinference-a-b-c", "other-ab12cd-m-01234567", ""}) {
    EXPECT_FALSE(IsFleetName(other)) << other;
  }
}

TEST(CloudNames, AreOfOneThingEach) {
  const CloudNames names("a"), others("b");
  EXPECT_NE(names.Machine("m-1"), names.Machine("m-2"));
  EXPECT_NE(names.Machine("a.b"), names.Machine("a:b"));
  EXPECT_NE(names.Machine("m"), names.Volume("m"));
  EXPECT_NE(names.Machine("m"), others.Machine("m"));
  EXPECT_NE(ZonedName("v", "a"), ZonedName("v", "b"));
  EXPECT_EQ(UnzonedName(ZonedName("v", "a")), "v");
  EXPECT_EQ(UnzonedName("x"), "");
}

}  // namespace
}  // namespace spotinference::fleet
