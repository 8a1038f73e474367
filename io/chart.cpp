#include "io/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "io/files.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

// Picture coordinates: pixels, y downwards.
constexpr double width = 720, panel_height = 300;
constexpr double left = 70, right = 20, top = 40, bottom = 50;
constexpr std::array colours = {"#4878a8", "#d08a30", "#6a9a6a", "#a06a90"};

struct Range {
  double low = INFINITY, high = -INFINITY;
  void include(double x) {
    low = std::min(low, x);
    high = std::max(high, x);
  }
};

/// The round step, 1, 2 or 5 times a power of ten, that cuts a range into about five.
double round_step(const Range& range) {
  const double wanted = (range.high - range.low) / 5;
  const double power = std::pow(10, std::floor(std::log10(wanted)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= wanted) return factor * power;
  return 10 * power;
}

/// An axis from one round number to another, over the pixels from first to last.
struct Axis {
  Range range;
  double step, first, last;

  Axis(Range data, double first_pixel, double last_pixel) : first(first_pixel), last(last_pixel) {
    if (data.high == data.low) data = {data.low - 1, data.high + 1};
    step = round_step(data);
    range = {std::floor(data.low / step) * step, std::ceil(data.high / step) * step};
  }
  double pixel(double x) const {
    return first + (x - range.low) / (range.high - range.low) * (last - first);
  }
  std::vector<double> ticks() const {
    std::vector<double> numbers;
    const long count = std::lround((range.high - range.low) / step);
    for (long i = 0; i <= count; ++i) numbers.push_back(range.low + double(i) * step);
    return numbers;
  }
};

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return safe;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='{}'>{}</text>\n", x, y, anchor,
                     escaped(text));
}

/// A multiple of the step, free of what rounding has left behind.
std::string label_of(double number, double step) {
  const double multiple = std::round(number / step);
  return multiple == 0 ? "0" : fmt::format("{:.6g}", multiple * step);
}

bool is_finite(const Curve& curve, std::size_t i) {
  return std::isfinite(curve.x[i]) && std::isfinite(curve.y[i]);
}

std::string path_of(const Curve& curve, const Axis& across, const Axis& up) {
  std::string path;
  bool drawing = false;
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    if (is_finite(curve, i))
      path += fmt::format("{}{:.1f} {:.1f}", drawing ? "L" : "M", across.pixel(curve.x[i]),
                          up.pixel(curve.y[i]));
    drawing = is_finite(curve, i);
  }
  return path;
}

std::string drawn(const Panel& panel, double y0) {
  Range xs, ys;
  for (const Curve& curve : panel.curves) {
    require(curve.x.size() == curve.y.size(), "write_chart", "x and y differ in number");
    for (std::size_t i = 0; i < curve.x.size(); ++i)
      if (is_finite(curve, i)) {
        xs.include(curve.x[i]);
        ys.include(curve.y[i]);
      }
  }
  require(xs.low <= xs.high, "write_chart", "a panel has no point");
  const Axis across(xs, left, width - right);
  const Axis up(ys, y0 + panel_height - bottom, y0 + top);

  std::string svg;
  for (const double x : across.ticks()) {
    const double p = across.pixel(x);
    svg += fmt::format("<line class='grid' x1='{0:.1f}' x2='{0:.1f}' y1='{1:.1f}' y2='{2:.1f}'/>\n",
                       p, up.first, up.last);
    svg += text_at(p, up.first + 16, "middle", label_of(x, across.step));
  }
  for (const double y : up.ticks()) {
    const double p = up.pixel(y);
    svg += fmt::format("<line class='grid' x1='{0:.1f}' x2='{1:.1f}' y1='{2:.1f}' y2='{2:.1f}'/>\n",
                       across.first, across.last, p);
    svg += text_at(across.first - 6, p + 4, "end", label_of(y, up.step));
  }
  svg += text_at((left + width - right) / 2, up.first + 36, "middle", panel.x_label);
  svg += text_at(left, y0 + 16, "start", panel.title);
  svg += text_at(left, y0 + 32, "start", panel.y_label);
  for (std::size_t c = 0; c < panel.curves.size(); ++c) {
    const char* colour = colours[c % colours.size()];
    svg += fmt::format("<path class='curve' stroke='{}' d='{}'/>\n", colour,
                       path_of(panel.curves[c], across, up));
    svg += fmt::format(
        "<g fill='{}'>{}</g>", colour,
        text_at(width - right - 6, up.last + 16 + 16 * double(c), "end", panel.curves[c].name));
  }
  return svg;
}

}  // namespace

void write_chart(const std::filesystem::path& path, const std::vector<Panel>& panels) {
  require(!panels.empty(), "write_chart", "there is no panel");
  const double height = panel_height * static_cast<double>(panels.size());
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}' "
      "font-family='sans-serif' font-size='12'>\n"
      "<style>.grid{{stroke:#ddd}} .curve{{fill:none;stroke-width:1.5}}</style>\n"
      "<rect width='100%' height='100%' fill='white'/>\n",
      width, height);
  for (std::size_t i = 0; i < panels.size(); ++i)
    svg += drawn(panels[i], panel_height * static_cast<double>(i));
  write_text(path, svg + "</svg>\n");
}

}  // namespace orrery::io
