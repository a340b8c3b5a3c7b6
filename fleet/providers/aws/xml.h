// XML of the EC2 Query API, read without complaint: what is missing is empty.
#ifndef FLEET_PROVIDERS_AWS_XML_H_
#define FLEET_PROVIDERS_AWS_XML_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spotinference::fleet {

struct Xml {
  std::string name;
  std::string text;  // its own, without that of its children
  std::vector<Xml> children;

  // The root. At most 32 levels deep, and no document type. UNAVAILABLE, as an answer that was cut: what is no such
  // XML.
  static absl::StatusOr<Xml> Parse(absl::string_view text);

  const Xml& operator[](absl::string_view child) const;  // the first of that name
  std::vector<const Xml*> Items() const;                 // the children called "item"
};

}  // namespace spotinference::fleet

#endif  // FLEET_PROVIDERS_AWS_XML_H_
