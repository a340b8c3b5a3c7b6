// Mutual TLS between a gateway and its machines: who may dial whom, by certificates of the fleet's own authority.
//
// A machine's certificate is a server's with the name MachineName(id), the gateway's a client's with the name
// kGatewayName: so neither passes for the other, and nobody without a certificate is spoken to.
#ifndef ENGINE_API_MUTUAL_TLS_H_
#define ENGINE_API_MUTUAL_TLS_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"

namespace spotinference {

inline constexpr char kGatewayName[] = "spotinference:gateway";

std::string MachineName(absl::string_view machine_id);

// What a client asks for first (SNI) and every machine's certificate has, so that the server finds it; proves nothing.
// To be set as a channel's SetSslTargetNameOverride.
inline constexpr char kMachineHost[] = "machine.spotinference";

// PEM. How the gateway shows who it is.
struct GatewayIdentity {
  std::string authority;  // whom it believes
  std::string key, certificate;
};

// For the machine of this id and no other: its certificate must be valid now.
std::shared_ptr<grpc::ChannelCredentials> CredentialsTo(const GatewayIdentity& gateway, absl::string_view machine_id);

// For a machine whose certificate is yet to come, or has expired: whoever answers is spoken to, and must be told
// nothing that is not public. It knows all the same that it is the gateway who speaks.
std::shared_ptr<grpc::ChannelCredentials> CredentialsToAnyone(const GatewayIdentity& gateway);

// PEM files. Key and certificate are read again within a second of a change.
struct MachineFiles {
  std::string authority;
  std::string key, certificate;
};

// Only the gateway gets through.
std::shared_ptr<grpc::ServerCredentials> MachineCredentials(const MachineFiles& files);

}  // namespace spotinference

#endif  // ENGINE_API_MUTUAL_TLS_H_
