#include "proxy/decisions/json_out.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <limits>

#include "proxy/decisions/cells.h"
#include "proxy/text_escape.h"

namespace warder::decisions {

struct JsonOut::Writer {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>> json{buffer};

  void key(std::string_view text) {
    json.Key(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  }
};

JsonOut::JsonOut() : writer_(std::make_unique<Writer>()) { writer_->json.StartObject(); }
JsonOut::~JsonOut() = default;

void JsonOut::add(std::string_view key, std::string_view text) {
  writer_->key(key);
  writer_->json.String(proxy::valid_utf8(text, std::numeric_limits<std::size_t>::max()));
}

void JsonOut::add(std::string_view key, std::uint64_t number) {
  writer_->key(key);
  writer_->json.Uint64(number);
}

void JsonOut::add_json(std::string_view key, std::string_view json) {
  const std::string ascii = ascii_json(json);
  writer_->key(key);
  writer_->json.RawValue(ascii.data(), ascii.size(), rapidjson::kObjectType);
}

void JsonOut::open(std::string_view key) {
  writer_->key(key);
  writer_->json.StartObject();
}

void JsonOut::close() { writer_->json.EndObject(); }

std::string JsonOut::finish() {
  writer_->json.EndObject();
  return {writer_->buffer.GetString(), writer_->buffer.GetSize()};
}

}  // namespace warder::decisions
