// How much of something an account may have at a time.
#ifndef FLEET_PROVIDERS_CLOUD_QUOTA_H_
#define FLEET_PROVIDERS_CLOUD_QUOTA_H_

#include <string>

#include "absl/strings/str_cat.h"

namespace spotinference::fleet {

struct Quota {
  std::string name;   // the cloud's, as in its console
  std::string place;  // where it holds
  double limit = 0, used = 0;
};

// Why the account may not have a machine that needs so much of it; "": it may.
inline std::string WhyOver(const Quota& quota, double needs) {
  if (quota.used + needs <= quota.limit) return "";
  return absl::StrCat("the quota ", quota.name, " in ", quota.place, " (limit ", quota.limit, ", in use ", quota.used,
                      ", a machine needs ", needs, ")");
}

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_CLOUD_QUOTA_H_
