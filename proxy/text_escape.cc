#include "proxy/text_escape.h"

#include <array>

namespace warder::proxy {
namespace {

constexpr unsigned char kDelete = 0x7f;

unsigned char byte_at(std::string_view bytes, std::size_t index) {
  return static_cast<unsigned char>(bytes[index]);
}

void append_escaped(std::string& out, unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4U];
  out += kDigits[byte & 0xfU];
}

bool starts_escape(std::string_view bytes, std::size_t index) {
  return bytes[index] == '\\' && index + 1 < bytes.size() && bytes[index + 1] == 'x';
}

// Length of the UTF-8 sequence at `index`, 0 when there is none (Unicode 15, table 3-7: no overlong
// forms, no surrogates, nothing above U+10FFFF).
std::size_t sequence_length(std::string_view bytes, std::size_t index) {
  struct Form {
    unsigned char first_least, first_most, second_least, second_most;
    std::size_t length;
  };
  static constexpr std::array<Form, 9> kForms{{{0x00, 0x7f, 0, 0, 1},
                                               {0xc2, 0xdf, 0x80, 0xbf, 2},
                                               {0xe0, 0xe0, 0xa0, 0xbf, 3},
                                               {0xe1, 0xec, 0x80, 0xbf, 3},
                                               {0xed, 0xed, 0x80, 0x9f, 3},
                                               {0xee, 0xef, 0x80, 0xbf, 3},
                                               {0xf0, 0xf0, 0x90, 0xbf, 4},
                                               {0xf1, 0xf3, 0x80, 0xbf, 4},
                                               {0xf4, 0xf4, 0x80, 0x8f, 4}}};
  const unsigned char first = byte_at(bytes, index);
  for (const Form& form : kForms) {
    if (first < form.first_least || first > form.first_most) continue;
    if (index + form.length > bytes.size()) return 0;
    for (std::size_t i = 1; i < form.length; ++i) {
      const unsigned char next = byte_at(bytes, index + i);
      const unsigned char least = i == 1 ? form.second_least : 0x80;
      const unsigned char most = i == 1 ? form.second_most : 0xbf;
      if (next < least || next > most) return 0;
    }
    return form.length;
  }
  return 0;
}

}  // namespace

std::string visible(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const unsigned char byte = byte_at(bytes, i);
    if (byte < 0x20 || byte >= kDelete || starts_escape(bytes, i)) {
      append_escaped(out, byte);
    } else {
      out += bytes[i];
    }
  }
  return out;
}

std::string valid_utf8(std::string_view bytes, std::size_t limit) {
  std::string out;
  out.reserve(bytes.size() < limit ? bytes.size() : limit);
  std::size_t i = 0;
  while (i < bytes.size() && i < limit) {
    const std::size_t length = sequence_length(bytes, i);
    if (length == 0 || byte_at(bytes, i) == kDelete || starts_escape(bytes, i)) {
      append_escaped(out, byte_at(bytes, i));
      ++i;
    } else {
      out += bytes.substr(i, length);
      i += length;
    }
  }
  if (i < bytes.size()) out += " (" + std::to_string(bytes.size() - i) + " bytes more)";
  return out;
}

std::string header_text(std::string_view bytes, std::size_t limit) {
  std::string out = visible(bytes.substr(0, limit));
  if (out.size() > limit) out.resize(limit);
  return out;
}

}  // namespace warder::proxy
