// What a measuring program prints: for each thing that it measured a line of JSON, with every
// round's figures.
#pragma once

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace bench {

class Row {
 public:
  /// What was done, and by whose lock or thread. Neither has a character that JSON would escape.
  Row(std::string work, std::string who) : work_(std::move(work)), who_(std::move(who)) {}

  /// One round's figure.
  void add(const char* what, double figure) {
    for (auto& [name, figures] : all_)
      if (name == what) return figures.push_back(figure);
    all_.push_back({what, {figure}});
  }

  void print() const {
    std::printf("{\"work\": \"%s\", \"who\": \"%s\"", work_.c_str(), who_.c_str());
    for (const auto& [name, figures] : all_) {
      std::printf(", \"%s\": [", name.c_str());
      for (std::size_t i = 0; i < figures.size(); ++i)
        std::printf("%s%.6g", i > 0 ? ", " : "", figures[i]);
      std::printf("]");
    }
    std::printf("}\n");
    std::fflush(stdout);
  }

 private:
  std::string work_;
  std::string who_;
  std::vector<std::pair<std::string, std::vector<double>>> all_;
};

}  // namespace bench
