// EC2 by its Query API, version 2016-11-15: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
//
// A hibernated machine is a terminated one whose EBS volume is kept: spot instances are one-time requests, which is
// what makes them simple to be rid of. They are in the default subnet of their zone, which gives each a public IPv4
// address for as long as it runs ("InstanceNetworkInterfaceSpecification" in that reference); AWS charges for it.
//
// Prices: DescribeSpotPriceHistory, and the Price List API for on demand.
#ifndef FLEET_PROVIDERS_AWS_AWS_API_H_
#define FLEET_PROVIDERS_AWS_AWS_API_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "fleet/providers/cloud/cloud_api.h"

namespace spotinference::fleet {

struct AwsRegion {
  std::string name;                          // "us-east-1"
  std::string image;                         // "ami-…", which there is in this region alone
  std::vector<std::string> zones;            // none: every one that sells
  std::vector<std::string> security_groups;  // none: the default VPC's
};

struct AwsOptions {
  std::vector<AwsRegion> regions;
  std::vector<std::string> instance_types;
  std::vector<Market> markets = {Market::kSpot, Market::kOnDemand};
  std::string name_prefix;  // what is ours, CloudNames::Prefix()
  int volume_gigabytes = 100;
  std::string volume_type = "gp3";
  bool public_address = false;  // else its subnet says whether it has one, and the private one is dialled
  std::string endpoint;          // "": https://ec2.REGION.amazonaws.com
  std::string pricing_endpoint;  // "": https://api.pricing.us-east-1.amazonaws.com
  std::string sts_endpoint;      // "": `endpoint`, if that is given; else https://sts.REGION.amazonaws.com
};

// `clock` outlives it.
std::unique_ptr<CloudApi> NewAwsApi(AwsOptions options, const Clock& clock);

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_AWS_API_H_
