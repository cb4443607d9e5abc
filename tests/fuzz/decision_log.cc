#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/decisions/cells.h"
#include "proxy/decisions/line_decoder.h"
#include "proxy/decisions/line_reader.h"
#include "proxy/decisions/rows.h"
#include "proxy/decisions/story.h"
#include "require.h"

namespace {

using warder::decisions::Event;
using warder::decisions::Field;
using warder::decisions::Filter;
using warder::decisions::LineCounts;
using warder::decisions::LineDecoder;
using warder::decisions::Prefilter;

bool printable(std::string_view text) {
  for (const char c : text) {
    if (c != '\n' && c != '\r' && (c < 0x20 || c >= 0x7f)) return false;
  }
  return true;
}

// Everything that a line can be shown as.
void show(const Event& event, const std::string& text) {
  using warder::decisions::Form;
  char* bytes = nullptr;
  std::size_t size = 0;
  std::FILE* file = ::open_memstream(&bytes, &size);
  for (const Form form : {Form::table, Form::csv, Form::json}) {
    warder::decisions::Rows(file, form, nullptr).write({event, text});
  }
  std::fclose(file);
  REQUIRE_THAT(printable({bytes, size}));
  std::free(bytes);
  REQUIRE_THAT(printable(warder::decisions::tell_story({{text}}, {{text}}, false)));
}

// The lines that are wanted, as they were understood.
std::vector<std::string> wanted(std::string_view log, const Filter& filter,
                                const Prefilter& prefilter, bool shown) {
  LineCounts counts;
  LineDecoder decoder(prefilter, counts);
  std::vector<std::string> texts;
  std::uint64_t lines = 0;
  const auto take = [&](const Event* event) {
    if (event == nullptr) return;
    const std::string text(decoder.text());
    if (shown) show(*event, text);
    if (filter.matches(*event)) texts.push_back(text);
  };
  while (true) {
    const std::size_t end = log.find('\n');
    if (end == std::string_view::npos) break;
    take(decoder.decode(log.substr(0, end)));
    log.remove_prefix(end + 1);
    ++lines;
  }
  if (!log.empty()) ++lines;
  take(decoder.decode_rest(log));
  // A line that is split and torn is there twice: as its pieces, and as what it came to.
  decoder.end();
  REQUIRE_THAT(counts.lines() >= lines && counts.lines() <= lines + counts.torn);
  return texts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view log(reinterpret_cast<const char*>(data), size);
  Filter any;
  any.path = "*";
  any.probes = true;
  (void)wanted(log, any, Prefilter(), true);

  // What a prefilter passes over is not wanted.
  Filter narrow = any;
  narrow.ids = {"0123456789abcdef0123456789abcdef"};
  REQUIRE_THAT(wanted(log, narrow, Prefilter(narrow), false) ==
               wanted(log, narrow, Prefilter(), false));
  Filter other = any;
  other.binaries = {"/bin/a", "/usr/bin/curl"};
  other.hosts = {"a"};
  REQUIRE_THAT(wanted(log, other, Prefilter(other), false) ==
               wanted(log, other, Prefilter(), false));
  return 0;
}
