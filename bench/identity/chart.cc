#include "chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace warder::bench {
namespace {

constexpr double kPanelWidth = 210;
constexpr double kPlotHeight = 300;
constexpr double kLeft = 62;
constexpr double kTop = 64;
constexpr double kGap = 22;
// Decades of microseconds.
constexpr int kLowest = 1;
constexpr int kHighest = 7;

struct Style {
  Method method;
  const char* colour;
  const char* dash;
  const char* title;
};
// Told apart by dashes too, not by colour alone.
constexpr Style kStyles[] = {
    {Method::fast, "#0072b2", "none", "Warder, kernel's own records"},
    {Method::fallback, "#d55e00", "7 3", "Warder, procfs only"},
    {Method::plain, "#555555", "2 3", "plain method (tables, then every descriptor)"},
};

double height(double us) {
  const double decades =
      std::clamp(std::log10(std::max(us, 1.0)), double{kLowest}, double{kHighest});
  return kTop + kPlotHeight * (kHighest - decades) / (kHighest - kLowest);
}

std::string decade_name(int decade) {
  static const char* const names[] = {"1 µs",   "10 µs", "100 µs", "1 ms", "10 ms",
                                      "100 ms", "1 s",   "10 s",   "100 s"};
  return names[decade];
}

std::string title(const std::string& axis) {
  if (axis == "files") return "open files on the host";
  if (axis == "waiting") return "lookups begun together";
  if (axis == "client in") return "client blocked in";
  return axis;
}

std::string text(double x, double y, const char* anchor, const std::string& what,
                 const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, more, what);
}

std::string line(double x1, double y1, double x2, double y2, const std::string& style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1,
                     x2, y2, style);
}

std::string curve(const std::vector<const Row*>& rows, double left, const Style& style) {
  std::string points;
  std::string marks;
  const double step = kPanelWidth / static_cast<double>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double x = left + step * (static_cast<double>(i) + 0.5);
    const double y = height(rows[i]->p50_us);
    points += fmt::format("{:.1f},{:.1f} ", x, y);
    marks += line(x, y, x, height(rows[i]->p99_us),
                  fmt::format("stroke=\"{}\" stroke-opacity=\"0.5\"", style.colour));
    marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x, y,
                         style.colour);
  }
  return fmt::format(
             "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" "
             "stroke-dasharray=\"{}\"/>\n",
             points, style.colour, style.dash) +
         marks;
}

std::string panel(const std::vector<Row>& rows, const std::string& axis, double left) {
  std::string out;
  for (int decade = kLowest; decade <= kHighest; ++decade)
    out += line(left, height(std::pow(10, decade)), left + kPanelWidth,
                height(std::pow(10, decade)), "stroke=\"#dddddd\"");
  out += text(left + kPanelWidth / 2, kTop - 10, "middle", title(axis), " font-weight=\"bold\"");
  for (const Style& style : kStyles) {
    std::vector<const Row*> own;
    for (const Row& row : rows)
      if (row.method == style.method && row.scenario.axis == axis) own.push_back(&row);
    if (own.empty()) continue;
    out += curve(own, left, style);
    const double step = kPanelWidth / static_cast<double>(own.size());
    if (style.method != Method::fast) continue;
    for (std::size_t i = 0; i < own.size(); ++i)
      out += text(left + step * (static_cast<double>(i) + 0.5), kTop + kPlotHeight + 18, "middle",
                  own[i]->scenario.value);
  }
  return out;
}

}  // namespace

Result<void> write_chart(const std::string& path, const std::vector<Row>& rows) {
  const auto panels = static_cast<double>(axes().size());
  const double width = kLeft + panels * (kPanelWidth + kGap);
  const double bottom = kTop + kPlotHeight + 62;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<title>Time of one identity lookup</title>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, bottom);
  out += text(kLeft, 24, "start", "Time of one identity lookup: p50, whisker to p99",
              " font-size=\"15\"");
  for (int decade = kLowest; decade <= kHighest; ++decade)
    out += text(kLeft - 8, height(std::pow(10, decade)) + 4, "end", decade_name(decade));
  double left = kLeft;
  for (const std::string& axis : axes()) {
    out += panel(rows, axis, left);
    left += kPanelWidth + kGap;
  }
  double x = kLeft;
  for (const Style& style : kStyles) {
    out += line(x, bottom - 18, x + 34, bottom - 18,
                fmt::format("stroke=\"{}\" stroke-width=\"1.8\" stroke-dasharray=\"{}\"",
                            style.colour, style.dash));
    out += text(x + 40, bottom - 14, "start", style.title);
    x += 300;
  }
  out += "</svg>\n";
  std::ofstream file(path, std::ios::binary);
  file << out;
  file.close();
  if (!file) return fail(Errc::system, path + ": not written");
  return {};
}

}  // namespace warder::bench
