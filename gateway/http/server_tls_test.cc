#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gateway/http/test_server.h"
#include "gtest/gtest.h"

namespace spotinference::http {
namespace {

std::string TempPath(const char* name) { return absl::StrCat(testing::TempDir(), "/", name); }

// A key and its self-signed certificate for "localhost", as PEM files.
TlsFiles MakeCertificate(const char* name) {
  TlsFiles files = {TempPath(absl::StrCat(name, "-cert.pem").c_str()),
                    TempPath(absl::StrCat(name, "-key.pem").c_str())};
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> cert(X509_new(), X509_free);
  X509_set_version(cert.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3600);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), subject);
  EXPECT_GT(X509_sign(cert.get(), key.get(), EVP_sha256()), 0);
  FILE* file = std::fopen(files.cert_file.c_str(), "w");
  EXPECT_EQ(PEM_write_X509(file, cert.get()), 1);
  std::fclose(file);
  file = std::fopen(files.key_file.c_str(), "w");
  EXPECT_EQ(PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
  std::fclose(file);
  return files;
}

class TlsClient {
 public:
  TlsClient(int port, const std::string& trusted_cert, int version = 0,
            const char* protocol = "http/1.1")
      : socket_(port), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_load_verify_locations(context_, trusted_cert.c_str(), nullptr);
    SSL_CTX_set_security_level(context_, 0);  // lets the test offer old versions
    if (version != 0) SSL_CTX_set_min_proto_version(context_, version);
    if (version != 0) SSL_CTX_set_max_proto_version(context_, version);
    ssl_ = SSL_new(context_);
    const std::string offered =
        absl::StrCat(std::string(1, static_cast<char>(strlen(protocol))), protocol);
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(offered.data()),
                        offered.size());
    SSL_set_fd(ssl_, socket_.fd());
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }

  bool connected() const { return connected_; }
  std::string version() const { return SSL_get_version(ssl_); }
  std::string protocol() const {
    const unsigned char* chosen;
    unsigned int size;
    SSL_get0_alpn_selected(ssl_, &chosen, &size);
    return std::string(reinterpret_cast<const char*>(chosen), size);
  }
  void Send(std::string_view bytes) {
    EXPECT_EQ(SSL_write(ssl_, bytes.data(), bytes.size()), bytes.size());
  }
  // All until the end; `clean` says whether the server announced that end.
  std::string ReadAll(bool* clean) {
    std::string read;
    char buffer[5000];
    int bytes;
    while ((bytes = SSL_read(ssl_, buffer, sizeof buffer)) > 0) read.append(buffer, bytes);
    *clean = SSL_get_error(ssl_, bytes) == SSL_ERROR_ZERO_RETURN;
    return read;
  }
  RawClient& socket() { return socket_; }

 private:
  RawClient socket_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool connected_;
};

ServerOptions WithTls(const TlsFiles& files) {
  ServerOptions options;
  options.tls = files;
  return options;
}

TEST(ServerTlsTest, RoundTrip) {
  const TlsFiles files = MakeCertificate("round-trip");
  TestServer server(
      [](std::shared_ptr<Exchange> exchange) {
        exchange->Reply({200, {}, std::move(exchange->request().body) + "!"});
      },
      WithTls(files));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server.port(), files.cert_file, version);
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.version(), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    EXPECT_EQ(client.protocol(), "http/1.1");
    // Several records, and two requests in one of them.
    const std::string body(300'000, 'x');
    client.Send(absl::StrCat(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n", body,
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1\r\n\r\ny"));
    bool clean = false;
    const std::string answers = client.ReadAll(&clean);
    EXPECT_TRUE(clean);
    EXPECT_NE(answers.find(body + "!HTTP/1.1 200 OK"), answers.npos);
    EXPECT_EQ(answers.substr(answers.size() - 6), "\r\n\r\ny!");
  }
}

TEST(ServerTlsTest, RefusesOldVersionsOtherProtocolsAndPlainText) {
  const TlsFiles files = MakeCertificate("refuses");
  TestServer server([](std::shared_ptr<Exchange> exchange) { exchange->Reply({}); },
                    WithTls(files));
  EXPECT_FALSE(TlsClient(server.port(), files.cert_file, TLS1_1_VERSION).connected());
  EXPECT_FALSE(TlsClient(server.port(), files.cert_file, 0, "h2").connected());
  RawClient plain(server.port());
  plain.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(plain.ReadAll().find("HTTP/1.1"), std::string::npos);
  EXPECT_TRUE(TlsClient(server.port(), files.cert_file).connected());
}

TEST(ServerTlsTest, StreamsAbortsAndClientsThatLeave) {
  const TlsFiles files = MakeCertificate("streams");
  absl::Notification closed;
  std::shared_ptr<Exchange> held;
  TestServer server(
      [&](std::shared_ptr<Exchange> exchange) {
        exchange->StartStream(200, {});
        exchange->Write("data: 1\n\n");
        if (exchange->request().path == "/abort") return exchange->Abort();
        if (exchange->request().path == "/finish") return exchange->Finish();
        exchange->OnClosed([&] { closed.Notify(); });
        held = std::move(exchange);
      },
      WithTls(files));
  bool clean = false;
  TlsClient finished(server.port(), files.cert_file);
  finished.Send("GET /finish HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  std::string read = finished.ReadAll(&clean);
  EXPECT_TRUE(clean);
  EXPECT_EQ(read.substr(read.find("\r\n\r\n")), "\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n");
  // Even a body that ends with the connection shows that it was cut.
  for (const char* request :
       {"GET /abort HTTP/1.1\r\nHost: h\r\n\r\n", "GET /abort HTTP/1.0\r\n\r\n"}) {
    TlsClient aborted(server.port(), files.cert_file);
    aborted.Send(request);
    read = aborted.ReadAll(&clean);
    EXPECT_FALSE(clean);
    EXPECT_NE(read.find("data: 1\n\n"), read.npos);
    EXPECT_EQ(read.find("0\r\n\r\n"), read.npos);
  }
  TlsClient leaves(server.port(), files.cert_file);
  leaves.Send("GET /stay HTTP/1.1\r\nHost: h\r\n\r\n");
  leaves.socket().Close();
  EXPECT_TRUE(closed.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

TEST(ServerTlsTest, StartSaysWhatIsWrongWithTheFiles) {
  const TlsFiles files = MakeCertificate("one");
  const TlsFiles other = MakeCertificate("other");
  FunctionHandler handler([](std::shared_ptr<Exchange>) {});
  const auto message = [&](const TlsFiles& tls) {
    ServerOptions options = WithTls(tls);
    options.listen = "127.0.0.1:0";
    options.error = [](int status, std::string_view) { return Response{status, {}, ""}; };
    return std::string(Server::Start(options, handler).status().message());
  };
  EXPECT_EQ(message(files), "");
  EXPECT_NE(message({files.key_file, files.key_file}).find("is not a readable PEM chain"),
            std::string::npos);
  EXPECT_NE(message({files.cert_file, files.cert_file}).find("is not a readable PEM private key"),
            std::string::npos);
  EXPECT_NE(message({files.cert_file, other.key_file}).find("key values mismatch"),
            std::string::npos);
}

}  // namespace
}  // namespace spotinference::http
