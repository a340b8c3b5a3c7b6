#include "fleet/sim/plots.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace spotinference::fleet::sim {
namespace {

// Okabe and Ito's, which people with any colour vision tell apart.
constexpr absl::string_view kColours[] = {"#0072b2", "#e69f00", "#56b4e9", "#cc79a7",
                                          "#009e73", "#000000", "#d55e00", "#f0e442"};
constexpr int kWidth = 900, kHeight = 380, kLeft = 70, kRight = 180, kTop = 20, kBottom = 50;  // right: the key

absl::string_view Colour(size_t i) { return kColours[i % std::size(kColours)]; }

struct Plot {
  std::string body;

  static double X(double share) { return kLeft + share * (kWidth - kLeft - kRight); }
  static double Y(double share) { return kHeight - kBottom - share * (kHeight - kTop - kBottom); }

  void Text(double x, double y, absl::string_view anchor, absl::string_view text) {
    absl::StrAppendFormat(&body, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                          Escaped(text));
  }
  void Line(double x1, double y1, double x2, double y2, absl::string_view style) {
    absl::StrAppendFormat(&body, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, style);
  }
  void TickX(double share, absl::string_view label) {
    Line(X(share), Y(0), X(share), Y(1), "stroke=\"#ddd\"");
    Text(X(share), Y(0) + 18, "middle", label);
  }
  void TickY(double share, absl::string_view label) {
    Line(X(0), Y(share), X(1), Y(share), "stroke=\"#ddd\"");
    Text(X(0) - 6, Y(share) + 4, "end", label);
  }
  void Key(size_t i, absl::string_view name) {
    const double y = kTop + 14 + 16.0 * static_cast<double>(i);
    absl::StrAppendFormat(&body, "<rect x=\"%d\" y=\"%.1f\" width=\"10\" height=\"10\" fill=\"%s\"/>\n",
                          kWidth - kRight + 14, y - 9, Colour(i));
    Text(kWidth - kRight + 28, y, "start", name);
  }
  std::string Svg(absl::string_view title, absl::string_view x, absl::string_view y) {
    Text((kLeft + kWidth - kRight) / 2.0, kHeight - 10, "middle", x);
    absl::StrAppendFormat(&body, "<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
                          (kTop + kHeight - kBottom) / 2, Escaped(y));
    return absl::StrFormat(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
        "font-family=\"sans-serif\" font-size=\"12\"><title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" "
        "fill=\"#fff\"/>\n%s</svg>\n",
        kWidth, kHeight, kWidth, kHeight, Escaped(title), body);
  }
};

// Between ticks: the next of 1, 2, 5, 10, 20 … that makes six steps of `most` or fewer.
double Step(double most) {
  const double least = std::max(most / 6, 1e-9);
  const double unit = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * unit >= least) return factor * unit;
  }
  return 10 * unit;
}

// Shares from 1 down to 10^-kDecades, logarithmically.
constexpr int kDecades = 5;
double LogShare(double share) { return std::clamp(1 + std::log10(std::max(share, 1e-12)) / kDecades, 0.0, 1.0); }

void ShareTicks(Plot& plot) {
  for (int decade = 0; decade <= kDecades; ++decade) {
    plot.TickY(LogShare(std::pow(10, -decade)), absl::StrFormat("%.6g %%", 100 * std::pow(10, -decade)));
  }
}

}  // namespace

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string Grouped(int64_t number) {
  std::string digits = absl::StrCat(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, 1, ',');
  return digits;
}

std::string Dollars(double dollars) {
  return dollars < 99.995 ? absl::StrFormat("$%.2f", dollars) : absl::StrCat("$", Grouped(std::llround(dollars)));
}

std::string CostPlot(absl::Span<const Result> policies, double target_share) {
  Plot plot;
  double most = 0;
  for (const Result& r : policies) most = std::max(most, r.cost());
  const double step = Step(most);
  const int steps = std::max(1, static_cast<int>(std::ceil(most * 1.02 / step)));
  const double end = steps * step;
  for (int tick = 0; tick <= steps; ++tick) {
    plot.TickX(static_cast<double>(tick) / steps, tick == 0 ? "$0" : Dollars(tick * step));
  }
  ShareTicks(plot);
  const double target = Plot::Y(LogShare(1 - target_share));
  plot.Line(Plot::X(0), target, Plot::X(1), target, "stroke=\"#d55e00\" stroke-dasharray=\"6 4\"");
  for (size_t i = 0; i < policies.size(); ++i) {
    const Result& r = policies[i];
    const double x = Plot::X(r.cost() / end), y = Plot::Y(LogShare(1 - r.served_within_target()));
    absl::StrAppendFormat(&plot.body, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"6\" fill=\"%s\"/>\n", x, y, Colour(i));
    plot.Text(x + 9, y - 6, "start", r.policy);
  }
  return plot.Svg("Cost against service", "cost, lower is better; the dashed line is the target",
                  "requests that waited too long");
}

std::string MachinesPlot(const Result& result) {
  Plot plot;
  double most = 0;
  for (int bin = 0; bin < Result::kBins; ++bin) {
    double sum = 0;
    for (const std::vector<float>& offer : result.machines) sum += offer[bin];
    most = std::max(most, sum);
  }
  const double step = std::max(1.0, Step(most));
  const double end = step * std::max(1.0, std::ceil(most / step));
  for (double tick = 0; tick <= end; tick += step) plot.TickY(tick / end, absl::StrFormat("%.6g", tick));
  const double hours = static_cast<double>(result.horizon) / kHour;
  const bool days = hours > 72;
  const double span = days ? hours / 24 : hours;
  for (double tick = 0; tick <= span; tick += Step(span)) {
    plot.TickX(tick / span, absl::StrFormat(days ? "day %.6g" : "%.6g h", tick));
  }
  std::vector<double> below(Result::kBins);
  size_t shown = 0;
  for (size_t offer = 0; offer < result.machines.size(); ++offer) {
    const std::vector<float>& bins = result.machines[offer];
    if (*std::max_element(bins.begin(), bins.end()) == 0) continue;
    std::string points, back;
    for (int bin = 0; bin < Result::kBins; ++bin) {
      const double x = Plot::X((bin + 0.5) / Result::kBins);
      back = absl::StrFormat("%.1f,%.1f ", x, Plot::Y(below[bin] / end)) + back;
      below[bin] += bins[bin];
      absl::StrAppendFormat(&points, "%.1f,%.1f ", x, Plot::Y(below[bin] / end));
    }
    absl::StrAppendFormat(&plot.body, "<polygon points=\"%s%s\" fill=\"%s\" fill-opacity=\"0.8\"/>\n", points, back,
                          Colour(shown));
    plot.Key(shown++, result.offer_names[offer]);
  }
  return plot.Svg(absl::StrCat("Machines of ", result.policy, " in ", result.market), "time", "machines");
}

std::string WaitPlot(absl::Span<const Result> policies, double target_seconds) {
  Plot plot;
  // From 0.1 s to 1000 s.
  const auto at = [](double seconds) { return std::clamp((std::log10(seconds) + 1) / 4, 0.0, 1.0); };
  for (const double seconds : {0.1, 1.0, 10.0, 100.0, 1000.0})
    plot.TickX(at(seconds), absl::StrFormat("%g s", seconds));
  ShareTicks(plot);
  const double target = Plot::X(at(target_seconds));
  plot.Line(target, Plot::Y(0), target, Plot::Y(1), "stroke=\"#d55e00\" stroke-dasharray=\"6 4\"");
  for (size_t i = 0; i < policies.size(); ++i) {
    const Result& r = policies[i];
    std::string points;
    for (int step = 0; step <= 120; ++step) {
      const double seconds = std::pow(10, -1 + step / 30.0);
      const double longer =
          r.requests == 0 ? 0
                          : 1 - static_cast<double>(r.waits.Within(static_cast<Nanos>(seconds * kSecond))) / r.requests;
      absl::StrAppendFormat(&points, "%.1f,%.1f ", Plot::X(at(seconds)), Plot::Y(LogShare(longer)));
    }
    absl::StrAppendFormat(&plot.body, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n",
                          points, Colour(i));
    plot.Key(i, r.policy);
  }
  return plot.Svg("Waiting times", "waited for the first token", "requests that waited longer");
}

}  // namespace spotinference::fleet::sim
