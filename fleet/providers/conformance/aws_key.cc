// Prints the id of the AWS key that the environment leads to; else, to stderr, why there is none.
#include <iostream>

#include "engine/base/clock.h"
#include "fleet/providers/aws/aws_credentials.h"
#include "fleet/providers/cloud/http.h"

int main() {
  spotinference::fleet::AwsCredentials credentials(spotinference::RealClock());
  spotinference::fleet::CloudHttp http;
  const auto key = credentials.Get(http);
  if (!key.ok()) {
    std::cerr << key.status().ToString() << std::endl;
    return 1;
  }
  std::cout << key->id << std::endl;
}
