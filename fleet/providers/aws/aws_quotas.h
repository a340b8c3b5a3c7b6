// The quotas of EC2 that machines count against: so many virtual CPUs of a group of families in a region, running on
// demand or as spot. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html and
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits
#ifndef FLEET_PROVIDERS_AWS_AWS_QUOTAS_H_
#define FLEET_PROVIDERS_AWS_AWS_QUOTAS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "fleet/api/offer.h"
#include "fleet/providers/cloud/quota.h"

namespace spotinference::fleet {

// Of one region.
class AwsQuotas {
 public:
  explicit AwsQuotas(std::string region) : region_(std::move(region)) {}

  // By the name that Service Quotas gives it: "Running On-Demand G and VT instances", "All P5 Spot Instance Requests".
  // Others are ignored.
  void Add(absl::string_view name, double limit);
  // An instance of the account's that runs, whoever's.
  void Use(absl::string_view type, Market market, double cpus);

  // Why the account may not have another one of `type`; "": it may, or its quota is not known.
  std::string WhyOver(absl::string_view type, Market market, double cpus) const;

 private:
  struct Known {
    Quota quota;
    Market market;
    std::vector<std::string> families;  // "G", "VT"; of some a generation alone: "P5"
  };
  size_t Find(absl::string_view type, Market market) const;  // index; past the end: there is none

  std::string region_;
  std::vector<Known> known_;
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_QUOTAS_H_
