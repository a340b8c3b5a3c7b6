#include "fleet/plan/market_memory.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace spotinference::fleet {
namespace {

constexpr double kYoung = 0.5;  // a, in hours
constexpr double kPrior = 1;    // openings of shape 1 that the evidence begins with
constexpr double kWhole = 4;    // machines that went with a lost one, before any is seen
constexpr absl::Duration kHalfLife = absl::Hours(96);
constexpr absl::Duration kMeanwhile = absl::Minutes(3);
constexpr absl::Duration kKnown = absl::Hours(1);  // a zone that we left so long ago may have closed meanwhile
constexpr absl::Duration kFirstRetry = absl::Seconds(30), kLongestRetry = absl::Minutes(1);
constexpr absl::Duration kWarningStep = absl::Seconds(30), kLongestWarning = absl::Minutes(10);

double Hours(absl::Duration time) { return absl::FDivDuration(time, absl::Hours(1)); }

}  // namespace

MarketMemory::Domain& MarketMemory::At(int domain) {
  if (domain >= static_cast<int>(domains_.size())) domains_.resize(domain + 1);
  return domains_[domain];
}

void MarketMemory::Count(Domain& domain, absl::Duration now) {
  const double kept = std::exp2(-absl::FDivDuration(now - domain.counted, kHalfLife));
  domain.losses *= kept;
  domain.exposure *= kept;
  domain.others *= kept;
  domain.went *= kept;
  if (domain.machines > 0) {
    domain.exposure +=
        std::log((kYoung + Hours(now - domain.opened)) / (kYoung + Hours(domain.counted - domain.opened)));
  }
  domain.counted = now;
}

MarketMemory::Domain MarketMemory::Kept(int id, absl::Duration now) const {
  Domain domain = id < static_cast<int>(domains_.size()) ? domains_[id] : Domain{};
  Count(domain, now);
  if (std::exchange(domain.machines, 0) > 0) domain.left = now;
  return domain;
}

void MarketMemory::Recall(int id, Domain kept, absl::Duration now) {
  for (absl::Duration* const time : {&kept.opened, &kept.left, &kept.counted, &kept.last_loss})
    *time = std::min(*time, now);
  kept.machines = 0;
  kept.opened = std::min(kept.opened, kept.counted);
  kept.closed_until = std::min(kept.closed_until, now + kLongestRetry);
  At(id) = kept;
}

void MarketMemory::Recall(Common kept, absl::Duration now) {
  kept.paired = std::min(kept.paired, now);
  kept.warning = std::clamp(kept.warning, absl::ZeroDuration(), kLongestWarning);
  common_ = kept;
}

void MarketMemory::Began(int id, absl::Duration now) {
  Domain& domain = At(id);
  Count(domain, now);
  if (domain.machines++ == 0 && (!domain.open || now - domain.left > kKnown)) domain.opened = now;
  domain.open = true;
  domain.stock_outs = 0;
  if (domain.came >= 0) domain.came = std::min(domain.came + 1, 1 << 20);
  domain.closed_until = -absl::InfiniteDuration();
}

void MarketMemory::Ended(int id, absl::Duration now) {
  Domain& domain = At(id);
  Count(domain, now);
  domain.machines = std::max(0, domain.machines - 1);
  domain.left = now;
}

void MarketMemory::Lost(int id, absl::Duration serves_until, absl::Duration now) {
  Domain& domain = At(id);
  Count(domain, now);
  domain.machines = std::max(0, domain.machines - 1);
  const absl::Duration warned = serves_until - now;
  absl::Duration& usual = common_.warning;
  usual = std::clamp(usual + (warned > usual ? 0.1 : -0.9) * kWarningStep, absl::ZeroDuration(), kLongestWarning);
  if (warned > usual - kWarningStep && warned < usual + kWarningStep) usual = std::min(usual, warned);
  if (now - domain.last_loss >= kMeanwhile) {
    domain.last_loss = now;
    domain.losses += 1;
    domain.others += domain.machines;
    domain.beside = domain.machines;
    CountTogether(id, now);
  } else if (domain.beside > 0) {  // else it was bought since then
    --domain.beside;
    domain.went = std::min(domain.went + 1, domain.others);
  }
  domain.opened = domain.counted = now;
  Close(domain, now);
}

void MarketMemory::CountTogether(int id, absl::Duration now) {
  const double kept = std::exp2(-absl::FDivDuration(now - common_.paired, kHalfLife));
  common_.trials *= kept;
  common_.joint *= kept;
  common_.paired = now;
  for (int other = 0; other < static_cast<int>(domains_.size()); ++other) {
    if (other == id) continue;
    common_.trials += domains_[other].machines > 0;
    common_.joint += now - domains_[other].last_loss < kMeanwhile;
  }
}

void MarketMemory::StockOut(int id, absl::Duration now) {
  Domain& domain = At(id);
  Count(domain, now);
  // With machines there it is full, not closed.
  if (domain.machines == 0) domain.open = false;
  ++domain.stock_outs;
  Close(domain, now);
}

void MarketMemory::Close(Domain& domain, absl::Duration now) {
  const absl::Duration retry =
      std::min(kFirstRetry * (1 << std::min(std::max(domain.stock_outs - 1, 0), 8)), kLongestRetry);
  domain.closed_until = now + retry;
  domain.came = 0;
}

Outlook MarketMemory::Of(int id, absl::Duration now) const {
  Domain domain;
  if (id < static_cast<int>(domains_.size())) domain = domains_[id];
  Count(domain, now);
  const double shape = (kPrior + domain.losses) / (kPrior + domain.exposure);
  const bool known = domain.machines > 0 || (domain.open && now - domain.left <= kKnown);
  const double age = known ? Hours(now - domain.opened) : 0;
  return {.losses_per_hour = shape / (kYoung + age),
          .whole = (kWhole + domain.went) / (kWhole + domain.others),
          .warning = common_.warning,
          .room = domain.came < 0 ? std::numeric_limits<int>::max() : 2 * domain.came,
          .closed_until = domain.closed_until};
}

}  // namespace spotinference::fleet
