#include "fleet/providers/several/several_providers.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace spotinference::fleet {
namespace {

class SeveralProviders : public Provider {
 public:
  explicit SeveralProviders(std::vector<std::unique_ptr<Provider>> providers)
      : providers_(std::move(providers)), caps_(CapsOf(providers_)) {
    for (const std::unique_ptr<Provider>& provider : providers_) {
      provider->Listen([this, name = provider->caps().name](MachineEvent event) {
        event.kind == MachineEvent::Kind::kOffers ? TellOffers(name, std::move(event)) : Tell(std::move(event));
      });
    }
  }

  ~SeveralProviders() override {
    for (const std::unique_ptr<Provider>& provider : providers_) provider->Listen(nullptr);
  }

  const Caps& caps() const override { return caps_; }

  std::string NameOf(const MachineSpec& spec) const override {
    for (const std::unique_ptr<Provider>& provider : providers_) {
      if (spec.provider.empty() || provider->caps().name == spec.provider) return provider->NameOf(spec);
    }
    return spec.id;
  }

  void Listen(absl::AnyInvocable<void(MachineEvent)> listener) override {
    absl::MutexLock lock(&listener_mutex_);
    listener_ = std::move(listener);
    if (!listener_) return;
    if (!offers_.empty()) listener_({.kind = MachineEvent::Kind::kOffers, .offers = AllOffers()});
  }

  void Launch(const MachineSpec& spec) override {
    if (Provider* const provider = Choose(spec)) provider->Launch(spec);
  }
  void Restore(const MachineSpec& spec) override {
    if (Provider* const provider = Choose(spec)) provider->Restore(spec);
  }
  void Adopt(const MachineSpec& spec, absl::string_view handle, absl::string_view address) override {
    if (Provider* const provider = Choose(spec)) provider->Adopt(spec, handle, address);
  }
  void Hibernate(absl::string_view id) override {
    if (Provider* const provider = Of(id)) provider->Hibernate(id);
  }
  void Terminate(absl::string_view id) override {
    if (Provider* const provider = Of(id)) provider->Terminate(id);
  }
  void TerminateLost(absl::string_view id) override {
    if (Provider* const provider = Of(id)) provider->TerminateLost(id);
  }
  void Discard(const MachineSpec& spec) override {
    if (Provider* const provider = Choose(spec)) provider->Discard(spec);
  }

 private:
  static Caps CapsOf(const std::vector<std::unique_ptr<Provider>>& providers) {
    Caps caps = providers[0]->caps();
    for (const std::unique_ptr<Provider>& provider : providers) {
      caps.hibernates &= provider->caps().hibernates;
      caps.sells_offers |= provider->caps().sells_offers;
      caps.outlives_host |= provider->caps().outlives_host;
    }
    return caps;
  }

  // Of whom the machine is asked, from now on. nullptr, and its end is told: there is no such provider any more.
  Provider* Choose(const MachineSpec& spec) {
    for (const std::unique_ptr<Provider>& provider : providers_) {
      if (!spec.provider.empty() && provider->caps().name != spec.provider) continue;
      absl::MutexLock lock(&mutex_);
      return chosen_[spec.id] = provider.get();
    }
    Tell({.machine_id = spec.id,
          .status = absl::FailedPreconditionError(
              absl::StrCat("the configuration has no provider ", spec.provider, " any more"))});
    return nullptr;
  }

  Provider* Of(absl::string_view id) {
    {
      absl::MutexLock lock(&mutex_);
      const auto found = chosen_.find(id);
      if (found != chosen_.end()) return found->second;
    }
    Tell({.machine_id = std::string(id)});
    return nullptr;
  }

  void Tell(MachineEvent event) {
    if (event.kind == MachineEvent::Kind::kGone) {
      absl::MutexLock lock(&mutex_);
      if (const auto found = chosen_.find(event.machine_id); found != chosen_.end()) chosen_.erase(found);
    }
    absl::MutexLock lock(&listener_mutex_);
    if (listener_) listener_(std::move(event));
  }

  // That one of them cannot say what it sells matters while none can.
  void TellOffers(const std::string& provider, MachineEvent event) {
    absl::MutexLock lock(&listener_mutex_);
    if (!event.status.ok()) {
      if (offers_.empty() && listener_) listener_(std::move(event));
      return;
    }
    offers_[provider] = std::move(event.offers);
    if (listener_) listener_({.kind = MachineEvent::Kind::kOffers, .offers = AllOffers()});
  }

  std::vector<OfferNow> AllOffers() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(listener_mutex_) {
    std::vector<OfferNow> all;
    for (const auto& [name, offers] : offers_) all.insert(all.end(), offers.begin(), offers.end());
    return all;
  }

  const std::vector<std::unique_ptr<Provider>> providers_;
  const Caps caps_;
  absl::Mutex mutex_;
  std::map<std::string, Provider*, std::less<>> chosen_ ABSL_GUARDED_BY(mutex_);  // of machines that are not gone
  absl::Mutex listener_mutex_;
  std::map<std::string, std::vector<OfferNow>> offers_ ABSL_GUARDED_BY(listener_mutex_);  // by provider
  absl::AnyInvocable<void(MachineEvent)> listener_ ABSL_GUARDED_BY(listener_mutex_);
};

}  // namespace

std::unique_ptr<Provider> NewSeveralProviders(std::vector<std::unique_ptr<Provider>> providers) {
  return std::make_unique<SeveralProviders>(std::move(providers));
}

}  // namespace spotinference::fleet
