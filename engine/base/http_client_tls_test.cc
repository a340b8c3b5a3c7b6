// Whom the client trusts.
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/http_client.h"
#include "gtest/gtest.h"

namespace spotinference {
namespace {

// Answers "secret" over TLS, one connection after another, as "localhost" with a certificate that it signed itself.
class TlsServer {
 public:
  TlsServer() {
    signal(SIGPIPE, SIG_IGN);  // the client may be gone before the last word of TLS
    key_ = EVP_EC_gen("P-256");
    certificate_ = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(certificate_), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate_), 3600);
    X509_set_pubkey(certificate_, key_);
    X509_NAME* const subject = X509_get_subject_name(certificate_);
    const auto* const name = reinterpret_cast<const unsigned char*>("localhost");
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0);
    X509_set_issuer_name(certificate_, subject);
    EXPECT_GT(X509_sign(certificate_, key_, EVP_sha256()), 0);
    FILE* const file = std::fopen(certificate_file().c_str(), "w");
    EXPECT_EQ(PEM_write_X509(file, certificate_), 1);
    std::fclose(file);

    context_ = SSL_CTX_new(TLS_server_method());
    EXPECT_EQ(SSL_CTX_use_certificate(context_, certificate_), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context_, key_), 1);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_TRUE(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(listener_, 8) == 0 &&
                getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~TlsServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    SSL_CTX_free(context_);
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }

  int port() const { return port_; }
  std::string certificate_file() const { return absl::StrCat(testing::TempDir(), "/certificate.pem"); }

 private:
  void Run() {
    for (int connection; (connection = accept(listener_, nullptr, nullptr)) >= 0; close(connection)) {
      SSL* const ssl = SSL_new(context_);
      SSL_set_fd(ssl, connection);
      char request[4096];
      const std::string reply = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret";
      if (SSL_accept(ssl) == 1 && SSL_read(ssl, request, sizeof request) > 0) {
        SSL_write(ssl, reply.data(), static_cast<int>(reply.size()));
        SSL_shutdown(ssl);
      }
      SSL_free(ssl);
    }
  }

  EVP_PKEY* key_;
  X509* certificate_;
  SSL_CTX* context_;
  int listener_, port_;
  std::thread thread_;
};

TEST(HttpClientTlsTest, TrustsWhomItIsTold) {
  TlsServer server;
  HttpClient client;
  const auto get = [&](const std::string& host, const std::string& ca_file) {
    return client.Do({.url = absl::StrCat("https://", host, ":", server.port()), .ca_file = ca_file});
  };
  const auto trusted = get("localhost", server.certificate_file());
  ASSERT_TRUE(trusted.ok()) << trusted.status();
  EXPECT_EQ(trusted->body, "secret");
  for (const absl::Status& status : {get("127.0.0.1", server.certificate_file()).status(),  // another's name
                                     get("localhost", "").status(),                         // not of the system's
                                     get("localhost", "/nowhere.pem").status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  }
}

}  // namespace
}  // namespace spotinference
