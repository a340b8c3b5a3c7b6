#include "engine/api/mutual_tls.h"

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_certificate_verifier.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace spotinference {
namespace {

namespace tls = grpc::experimental;

constexpr unsigned kRereadSeconds = 1;

// After the certificate itself was found good.
class NameVerifier : public tls::ExternalCertificateVerifier {
 public:
  explicit NameVerifier(std::string name) : name_(std::move(name)) {}

  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    const std::vector<grpc::string_ref> names = request->uri_names();
    if (names.size() != 1 || names[0] != name_) {
      *status = {grpc::StatusCode::UNAUTHENTICATED, absl::StrCat("it is not ", name_)};
    }
    return true;
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::string name_;
};

std::shared_ptr<grpc::ChannelCredentials> Credentials(const GatewayIdentity& gateway, bool checks,
                                                      std::shared_ptr<tls::CertificateVerifier> verifier) {
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(
      gateway.authority, std::vector<tls::IdentityKeyCertPair>{{gateway.key, gateway.certificate}}));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(checks);
  options.set_check_call_host(false);  // machines are known by their names, not by their addresses
  options.set_certificate_verifier(std::move(verifier));
  return tls::TlsCredentials(options);
}

}  // namespace

std::string MachineName(absl::string_view machine_id) { return absl::StrCat("spotinference:machine/", machine_id); }

std::shared_ptr<grpc::ChannelCredentials> CredentialsTo(const GatewayIdentity& gateway, absl::string_view machine_id) {
  return Credentials(gateway, true, tls::ExternalCertificateVerifier::Create<NameVerifier>(MachineName(machine_id)));
}

std::shared_ptr<grpc::ChannelCredentials> CredentialsToAnyone(const GatewayIdentity& gateway) {
  return Credentials(gateway, false, std::make_shared<tls::NoOpCertificateVerifier>());
}

std::shared_ptr<grpc::ServerCredentials> MachineCredentials(const MachineFiles& files) {
  tls::TlsServerCredentialsOptions options(std::make_shared<tls::FileWatcherCertificateProvider>(
      files.key, files.certificate, files.authority, kRereadSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<NameVerifier>(kGatewayName));
  return tls::TlsServerCredentials(options);
}

}  // namespace spotinference
