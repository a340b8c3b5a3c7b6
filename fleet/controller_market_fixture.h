// A controller whose provider sells machines of several zones and markets.
#ifndef FLEET_CONTROLLER_MARKET_FIXTURE_H_
#define FLEET_CONTROLLER_MARKET_FIXTURE_H_

#include <string>
#include <utility>
#include <vector>

#include "fleet/controller_fixture.h"

namespace spotinference::fleet {

inline Offer OfferOf(const std::string& zone, Market market, double price) {
  return {.provider = "fake",
          .region = "r",
          .zone = zone,
          .market = market,
          .machine_type = "small",
          .accelerator = "T4",
          .accelerators = 1,
          .price_per_hour = price};
}

class ControllerMarketTest : public ControllerTest {
 protected:
  ControllerMarketTest() {
    Tell({OfferOf("a", Market::kSpot, 0.2), OfferOf("b", Market::kSpot, 0.3), OfferOf("a", Market::kOnDemand, 1)});
  }

  void Tell(const std::vector<Offer>& offers) {
    MachineEvent event = {.kind = MachineEvent::Kind::kOffers};
    for (const Offer& offer : offers) event.offers.push_back({offer});
    provider_.Tell(std::move(event));
    fleet_->Run();
  }

  // The latest machine asked for.
  std::string Zone() const { return provider_.last_spec().offer.value_or(Offer{}).zone; }
  Market MarketOf() const { return provider_.last_spec().offer.value_or(Offer{}).market; }
};

}  // namespace spotinference::fleet

#endif  // FLEET_CONTROLLER_MARKET_FIXTURE_H_
